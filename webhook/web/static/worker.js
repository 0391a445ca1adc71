// Watchmark: what an installed app shows when the service cannot be reached. It keeps nothing else.
"use strict";
const KEPT = "offline-2";
const base = new URL(".", self.location).pathname;
const shell = [`${base}offline`, `${base}static/style.css`, `${base}static/icon.svg`];

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(KEPT)
      .then((kept) => kept.addAll(shell))
      .then(() => self.skipWaiting()),
  );
});
self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches.keys().then((names) => Promise.all(names.filter((name) => name !== KEPT).map((name) => caches.delete(name)))),
  );
});
self.addEventListener("fetch", (event) => {
  const path = new URL(event.request.url).pathname;
  if (shell.includes(path)) {
    event.respondWith(fetch(event.request).catch(() => caches.match(path)));
  } else if (event.request.mode === "navigate") {
    event.respondWith(fetch(event.request).catch(() => Response.redirect(shell[0])));
  }
});
