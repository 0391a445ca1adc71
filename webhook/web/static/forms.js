// Watchmark: forms that answer while one fills them in. Everything works without it.
(() => {
  "use strict";

  // The browser's time zone is suggested where none is chosen.
  const zone = document.querySelector("select[data-suggests]");
  const mine = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && mine && [...zone.options].some((option) => option.value === mine)) {
    zone.value = mine;
    document.getElementById("zone-suggested").hidden = false;
  }

  // A preview is drawn again by the server whenever its form changes.
  document.querySelectorAll("form[data-previews]").forEach((form) => {
    let waiting = null;
    let asked = 0;
    const draw = async () => {
      const number = ++asked;
      try {
        const body = new URLSearchParams(new FormData(form));
        const answer = await fetch(form.dataset.previews, { method: "POST", body });
        if (!answer.ok || number !== asked) return;
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        document.getElementById("preview").innerHTML = fresh.getElementById("preview").innerHTML;
      } catch {
        // The preview stays as it was; saving says what is wrong.
      }
    };
    form.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(draw, 400);
    });
  });

  // What an address points at is opened.
  const open = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && target.matches("details")) target.open = true;
  };
  addEventListener("hashchange", open);
  open();

  // A filter box hides what does not have its words.
  document.querySelectorAll("input[data-filters]").forEach((box) => {
    const all = [...document.querySelectorAll(box.dataset.filters)];
    const words = all.map((one) => one.querySelector("summary").textContent.toLowerCase());
    box.addEventListener("input", () => {
      const wanted = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      let left = 0;
      all.forEach((one, index) => {
        one.hidden = !wanted.every((word) => words[index].includes(word));
        if (!one.hidden) left += 1;
      });
      document.querySelectorAll("section.group").forEach((group) => {
        group.hidden = ![...group.querySelectorAll(".operation")].some((one) => !one.hidden);
      });
      document.getElementById("docs-count").textContent = wanted.length ? `${left} of ${all.length}` : "";
    });
  });
})();
