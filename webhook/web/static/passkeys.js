// Watchmark: signing in with a passkey, and adding one. Everything else works without it.
(() => {
  "use strict";

  const bytes = (text) =>
    Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replaceAll("+", "-")
      .replaceAll("/", "_")
      .replaceAll("=", "");

  // What the server asks for, as the browser takes it: its bytes come as base64url.
  const read = (options) => {
    options.challenge = bytes(options.challenge);
    if (options.user) options.user.id = bytes(options.user.id);
    (options.excludeCredentials || []).forEach((one) => (one.id = bytes(one.id)));
    return { publicKey: options };
  };
  const written = ({ id, rawId, type, response }) => {
    const answer = { clientDataJSON: text(response.clientDataJSON) };
    for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"])
      if (response[name]) answer[name] = text(response[name]);
    return JSON.stringify({ id, rawId: text(rawId), type, response: answer });
  };

  document.querySelectorAll("form[data-passkey]").forEach((form) => {
    const show = (name) => (form.parentElement.querySelector(`[data-passkey-note="${name}"]`).hidden = false);
    if (form.dataset.origin !== location.origin) return show("elsewhere");
    if (!window.PublicKeyCredential) return show("unsupported");
    form.hidden = false;

    const wrong = form.querySelector("[role=alert]");
    const button = form.querySelector("button");
    const refuse = (detail) => {
      wrong.textContent = detail;
      wrong.hidden = false;
      button.disabled = false;
    };
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      wrong.hidden = true;
      button.disabled = true;
      try {
        const body = new URLSearchParams(new FormData(form));
        const answer = await fetch(form.dataset.options, { method: "POST", body });
        if (answer.redirected) return location.reload(); // the sign-in ended
        const asked = await answer.json();
        if (!answer.ok) return refuse(asked.detail);
        form.elements.credential.value = written(await navigator.credentials[form.dataset.passkey](read(asked)));
        form.submit();
      } catch (error) {
        const { cancelled, known, failed } = form.dataset;
        refuse({ NotAllowedError: cancelled, InvalidStateError: known || failed }[error.name] || failed);
      }
    });
  });
})();
