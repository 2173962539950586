// Keeps the page's files in the browser, so that it opens without a network, and lets nothing out:
// what page and worker ask for comes from the files listed above, or not at all.

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches.open(VERSION).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const isOld = (name) => name.startsWith(PREFIX) && name !== VERSION;
  event.waitUntil(
    caches.keys()
      .then((names) => Promise.all(names.filter(isOld).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !isOurs(request.url)) event.respondWith(Response.error());
  else event.respondWith(answer(request));
});

const addresses = [...FILES, ...LATER].map((file) => new URL(file, self.registration.scope).href);

function isOurs(url) {
  return url.startsWith(self.registration.scope) || addresses.includes(url);
}

// From the cache; else from the server, and the larger files that not all browsers need are kept.
async function answer(request) {
  const cache = await caches.open(VERSION);
  const known = await cache.match(request, { ignoreSearch: true });
  if (known) return known;
  const response = await fetch(request);
  if (response.ok && addresses.includes(request.url)) await cache.put(request, response.clone());
  return response;
}
