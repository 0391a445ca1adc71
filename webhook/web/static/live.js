// Watchmark: what makes a page livelier. Everything works without it.
(() => {
  "use strict";
  const root = document.documentElement.dataset.base || "";
  // Where the page is drawn again: not at the address of a form that drew it; empty is nowhere.
  const from = () => document.documentElement.dataset.from ?? location.href;
  const each = (what, does, within = document) => within.querySelectorAll(what).forEach(does);
  const speak = (words) => {
    const place = document.getElementById("spoken");
    if (place) place.textContent = words;
  };

  // What gets the focus by the keyboard in a row that scrolls is shown whole.
  addEventListener("focusin", ({ target }) => {
    const row = target.closest(".one-line, .strip");
    if (!row || row === target || !target.matches(":focus-visible")) return;
    target.scrollIntoView({ block: "nearest", inline: row.matches(".strip") ? "start" : "nearest" });
  });

  // Copy buttons: hidden until there is somebody to press them for.
  const readyCopies = (within) =>
    each("button[data-copy]", (button) => {
      if (!navigator.clipboard && !document.queryCommandSupported) return;
      button.hidden = false;
      button.onclick = async () => {
        const from = document.getElementById(button.dataset.copy);
        const words = "value" in from ? from.value : from.textContent;
        try {
          await navigator.clipboard.writeText(words);
        } catch {
          from.focus();
          if (from.select) from.select();
          document.execCommand("copy"); // over plain HTTP there is no clipboard
        }
        const before = button.textContent;
        button.textContent = document.documentElement.dataset.copied;
        speak(button.textContent);
        setTimeout(() => (button.textContent = before), 1500);
      };
    }, within);

  // Progress of what plays, moved on between two drawings.
  let ticking = null;
  const tick = () =>
    each("progress[data-position]", (bar) => {
      if (bar.dataset.playing !== "true") return;
      const passed = Date.now() - Number(bar.dataset.drawn);
      const position = Math.min(Number(bar.dataset.position) + passed, Number(bar.dataset.duration));
      bar.value = (100 * position) / Number(bar.dataset.duration);
      const words = document.getElementById(bar.dataset.words);
      if (words) words.textContent = Math.floor(position / 60000);
    });
  const readyBars = (within) => {
    each("progress[data-position]", (bar) => (bar.dataset.drawn = Date.now()), within);
    if (!ticking && document.querySelector("progress[data-position]")) ticking = setInterval(tick, 1000);
  };

  // The live parts of the page, drawn again by the server whenever there is news.
  const busy = (part) => part.contains(document.activeElement) && document.activeElement.matches("input:not([readonly]), select, textarea:not([readonly])");
  const served = new WeakMap(); // what the server drew, before scripts touched it

  // What one has opened, typed and come to by keyboard stays where it was.
  const marked = (one) =>
    [one.tagName, one.id, one.getAttribute("href"), one.name, one.value, one.form?.getAttribute("action"), one.getAttribute("aria-label"), one.textContent.trim()].join("|");
  const kept = (part) => {
    const opened = [...part.querySelectorAll("details[open][id]")].map((one) => one.id);
    const changed = [...part.querySelectorAll("input[id], textarea[id], select[id]")].filter((field) =>
      field.matches("select")
        ? [...field.options].some((option) => option.selected !== option.defaultSelected)
        : field.value !== field.defaultValue || field.checked !== field.defaultChecked,
    );
    const typed = changed.map((field) => [field.id, field.value, field.checked]);
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const mark = focused && marked(focused);
    return () => {
      opened.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
      typed.forEach(([id, value, checked]) => {
        const field = document.getElementById(id);
        if (field) Object.assign(field, checked === undefined ? { value } : { value, checked });
      });
      if (focused) [...part.querySelectorAll(focused.tagName)].find((one) => marked(one) === mark)?.focus();
    };
  };
  let leaves = false;
  addEventListener("submit", (event) => {
    leaves = !event.defaultPrevented;
  });
  let drawing = false;
  let again = false;
  const draw = async () => {
    if (drawing) {
      again = true;
      return;
    }
    drawing = true;
    try {
      const answer = await fetch(from(), { headers: { "X-Live": "1" } });
      if (answer.redirected && new URL(answer.url).pathname !== new URL(from(), location.href).pathname) {
        if (!leaves) location.href = answer.url; // the sign-in ended, and not by a form that is on its way
        return;
      }
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      document.title = fresh.title;
      each("[data-live][id]", (part) => {
        const other = fresh.getElementById(part.id);
        if (!other) return;
        if (!other.dataset.again) delete part.dataset.again;
        if (other.innerHTML === served.get(part) || busy(part)) return;
        const restore = kept(part);
        part.innerHTML = other.innerHTML;
        served.set(part, other.innerHTML);
        restore();
        ready(part);
        readyBars(part);
        if (part.dataset.speaks) speak(part.dataset.speaks);
      });
    } catch {
      // The stream says when the service is back.
    } finally {
      drawing = false;
      if (again) {
        again = false;
        setTimeout(draw, 250);
      }
    }
  };
  const ready = (within) => {
    readyCopies(within);
    each("[data-scripted]", (one) => (one.hidden = false), within);
    each("[data-unscripted]", (one) => (one.hidden = true), within);
    each("select[data-sends], input[data-sends]", (field) => (field.onchange = () => field.form.requestSubmit()), within);
  };

  // The box of a day ticks all of its plays.
  document.addEventListener("change", ({ target }) => {
    if (!target.matches("[data-ticks]")) return;
    each("input[type=checkbox]", (box) => (box.checked = target.checked), target.closest("section"));
  });

  // The browser's time zone is offered where none is chosen.
  each("form[data-zone]", (form) => {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (!zone || zone === "UTC") return;
    form.elements.timezone.value = zone;
    form.querySelector("[data-zone-name]").textContent = zone;
    form.hidden = false;
  });

  // A search answers while one types: the same page is fetched, and what it found is put in place.
  each("form[data-seeks]", (form) => {
    let waiting = null;
    let asked = 0;
    const seek = async () => {
      const number = ++asked;
      const address = new URL(form.action);
      address.search = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
      try {
        const answer = await fetch(address);
        if (!answer.ok || answer.redirected || number !== asked) return;
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (number !== asked) return;
        history.replaceState(null, "", address);
        each("[data-sought][id]", (part) => {
          const other = document.importNode(fresh.getElementById(part.id), true);
          part.replaceWith(other);
          if (other.matches("[data-live]")) served.set(other, other.innerHTML);
          if (other.dataset.found) speak(other.dataset.found);
          ready(other);
        });
      } catch {
        // What was found before stays; the form can still be sent.
      }
    };
    form.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(seek, 250);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(waiting);
      seek();
    });
  });

  navigator.serviceWorker?.register(`${root}/worker.js`).catch(() => {}); // it only says when the service is not reachable

  each("[data-live][id]", (part) => served.set(part, part.innerHTML));
  ready(document);
  readyBars(document);
  if (from() && document.querySelector("[data-live]") && window.EventSource) {
    let stream = null;
    const listen = () => {
      if (stream || document.hidden) return;
      stream = new EventSource(`${root}/live`);
      let lost = false;
      stream.addEventListener("news", draw);
      stream.onerror = () => (lost = true);
      stream.onopen = () => {
        if (lost) draw();
        lost = false;
      };
    };
    const close = () => {
      stream?.close();
      stream = null;
    };
    const back = () => {
      if (document.hidden) return close(); // a browser has six connections to a host, for all its tabs
      listen();
      draw();
    };
    listen();
    addEventListener("pagehide", close);
    addEventListener("pageshow", (event) => event.persisted && back());
    document.addEventListener("visibilitychange", back);
    setInterval(() => document.hidden && draw(), 60000); // the title says how much waits
  }
  const pause = Number(document.querySelector("[data-again]")?.dataset.again);
  if (from() && pause) setInterval(() => document.querySelector("[data-again]") && draw(), pause * 1000);
})();
