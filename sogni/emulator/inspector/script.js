"use strict";

// Sends forms in the background and keeps the lists up to date. Without it, the page works by reloading.

const message = document.getElementById("message");
const live = document.getElementById("live");
const pause = document.getElementById("pause");
const waiting = {};

function say(text, isProblem) {
  message.textContent = text;
  message.classList.toggle("problem", isProblem);
}

async function send(form) {
  const button = form.querySelector("button");
  button.setAttribute("aria-busy", "true");
  try {
    const body = new URLSearchParams(new FormData(form));
    const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    say((await response.json()).message, !response.ok);
  } catch {
    say("The emulator does not answer.", true);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  event.preventDefault();
  send(event.target);
});

// The fields of another fault come from the page that shows them.
const choice = document.getElementById("fault-choice");
choice.querySelector("button").hidden = true;
choice.addEventListener("change", async () => {
  const response = await fetch(`?${new URLSearchParams(new FormData(choice))}`);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  document.getElementById("fault-form").replaceWith(page.getElementById("fault-form"));
});

function made(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}

// Replaces an item, but keeps it open, scrolled and focused as it was.
function replace(old, fresh) {
  const open = old.querySelector("details")?.open;
  if (open) fresh.querySelector("details").open = true;
  const focused = old.contains(document.activeElement) && [...old.querySelectorAll("a, summary, pre, video, audio, [tabindex]")].indexOf(document.activeElement);
  const scrolled = [...old.querySelectorAll("pre, .scroll")].map((it) => [it.scrollLeft, it.scrollTop]);
  old.replaceWith(fresh);
  [...fresh.querySelectorAll("pre, .scroll")].forEach((it, index) => {
    if (scrolled[index]) [it.scrollLeft, it.scrollTop] = scrolled[index];
  });
  if (focused !== false && focused >= 0) fresh.querySelectorAll("a, summary, pre, video, audio, [tabindex]")[focused]?.focus();
}

function update(name, { order, items }) {
  const list = document.getElementById(name);
  const known = new Map([...list.children].map((it) => [it.id, it]));
  for (const id of known.keys()) if (!order.includes(id)) known.get(id).remove();
  let before = null;
  for (const id of order) {
    let item = known.get(id);
    if (items[id]) {
      const fresh = made(items[id]);
      if (!item) item = fresh;
      else if (item.dataset.version !== fresh.dataset.version) {
        replace(item, fresh);
        item = fresh;
      }
    }
    if (!item) continue;
    const place = before ? before.nextSibling : list.firstChild;
    if (place !== item) list.insertBefore(item, place);
    before = item;
  }
  if (name === "traffic") filter();
}

// Traffic can be filtered, and paused while it is read.
const filters = document.getElementById("filters");
filters.hidden = false;
function filter() {
  const show = filters.querySelector("input[name=show]:checked").value;
  const words = document.getElementById("find").value.toLowerCase();
  for (const item of document.getElementById("traffic").children) {
    const isFrame = item.classList.contains("received") || item.classList.contains("sent");
    const fits = show === "all" || (show === "frames") === isFrame;
    item.hidden = !fits || !item.querySelector(".title").textContent.toLowerCase().includes(words);
  }
}
filters.addEventListener("input", filter);

pause.addEventListener("click", () => {
  const paused = pause.getAttribute("aria-pressed") !== "true";
  pause.setAttribute("aria-pressed", String(paused));
  if (!paused && waiting.traffic) update("traffic", waiting.traffic);
  delete waiting.traffic;
});

const events = new EventSource("events");
events.onopen = () => {
  live.textContent = "live";
  live.className = "badge completed";
};
events.onerror = () => {
  live.textContent = "disconnected";
  live.className = "badge errored";
};
events.onmessage = (event) => {
  for (const [name, change] of Object.entries(JSON.parse(event.data))) {
    if (name === "traffic" && pause.getAttribute("aria-pressed") === "true") {
      waiting.traffic = { order: change.order, items: { ...waiting.traffic?.items, ...change.items } };
    } else {
      update(name, change);
    }
  }
};
