// Keeps a page of approvals up to date. Everything works without it, after a reload.
"use strict";

const PENDING = "pending"; // The id of the part that is kept up to date.
const SETTLE_MS = 700; // After the list moved: a click that was on its way to something else decides nothing.
const CALM_MS = 1500; // Between two looks: where much changes, nobody could follow every change anyhow.
const RETRY_MS = 10000;
const TOUCH_MS = 300000; // While somebody works here the visit goes on: told at most every five minutes.
const SOON_SECONDS = 300;

const SAID_MS = 8000;

const page = { moved: 0, said: 0, stale: false, fetching: false, skew: 0, touched: Date.now() };

const part = () => document.getElementById(PENDING);
const seconds = () => (Date.now() + page.skew) / 1000;

function say(text) {
  const news = document.getElementById("news");
  news.textContent = text;
  clearTimeout(page.said);
  page.said = setTimeout(() => (news.textContent = ""), SAID_MS);
}

// Time: what is left of each approval, and instants in the reader's own zone.

function left(whole) {
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours ? `${hours}:${two(minutes)}:${two(rest)} left` : `${minutes}:${two(rest)} left`;
}

function ago(whole) {
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (whole >= size) return `${Math.floor(whole / size)} ${unit} ago`;
  }
  return `${whole} s ago`;
}

function tick() {
  for (const each of document.querySelectorAll(".facts time")) {
    each.textContent = ago(Math.max(0, Math.floor(seconds() - Date.parse(each.dateTime) / 1000)));
  }
  for (const each of document.querySelectorAll("[data-expires]")) {
    const whole = Math.max(0, Math.ceil(Number(each.dataset.expires) - seconds()));
    each.textContent = whole ? left(whole) : "Expired";
    each.classList.toggle("soon", whole < SOON_SECONDS);
    if (!whole) for (const button of each.closest(".card").querySelectorAll(".buttons button")) button.disabled = true;
  }
}

function localise(root) {
  for (const each of root.querySelectorAll(".history time, dd time, .changes time, .reason time")) {
    each.title = each.textContent;
    each.textContent = new Date(each.dateTime).toLocaleString([], { dateStyle: "medium", timeStyle: "long" });
  }
}

// Changes: the page asks for itself and takes over what is different, but nothing that somebody is at work on.

const busy = (card) =>
  card.contains(document.activeElement) || [...card.querySelectorAll("textarea")].some((each) => each.value);

function fold(list, fresh) {
  const known = new Map([...list.children].map((card) => [card.id, card]));
  const wanted = [...fresh.children];
  let came = 0;
  wanted.forEach((card, at) => {
    let here = known.get(card.id);
    known.delete(card.id);
    if (!here) {
      here = document.importNode(card, true);
      here.classList.add("new");
      came += 1;
    } else if (here.dataset.version !== card.dataset.version) {
      const changed = busy(here) ? ".standing" : "article";
      const [old, now] = [here.querySelector(changed), card.querySelector(changed)];
      if (old && now) old.replaceWith(document.importNode(now, true));
      here.dataset.version = card.dataset.version;
    }
    if (list.children[at] !== here) place(list, here, at);
  });
  for (const card of known.values()) leave(card);
  return came;
}

function place(list, card, at) {
  // What has the focus keeps it only if it is never moved, so others move around it.
  if (card.contains(document.activeElement)) {
    while (list.children[at] !== card) list.append(list.children[at]);
  } else {
    list.insertBefore(card, list.children[at] || null);
  }
}

function leave(card) {
  if (!busy(card)) {
    card.remove();
    return;
  }
  for (const button of card.querySelectorAll(".buttons button")) button.disabled = true;
  const left = card.querySelector(".left");
  if (left) {
    delete left.dataset.expires;
    left.textContent = "No longer waiting: somebody decided it, or its time is over";
  }
}

function anchored(change) {
  // Whatever is under the pointer or has the focus stays where it is on the screen.
  const held = document.querySelector(".card:focus-within") || document.querySelector(".card:hover");
  const before = held && held.getBoundingClientRect().top;
  const result = change();
  const gone = () => held.getBoundingClientRect().top - before;
  if (held && held.isConnected) {
    window.scrollBy({ top: gone(), behavior: "instant" });
    if (gone() > 1) { // The page is too short to be scrolled so far.
      const main = document.getElementById("main");
      main.style.paddingBottom = `${parseFloat(getComputedStyle(main).paddingBottom) + gone()}px`;
      window.scrollBy({ top: gone(), behavior: "instant" });
    }
  }
  return result;
}

function settle() {
  document.documentElement.dataset.moved = "";
  clearTimeout(page.moved);
  page.moved = setTimeout(() => delete document.documentElement.dataset.moved, SETTLE_MS);
}

function takeOver(fresh) {
  const old = part();
  const [list, freshList] = [old.querySelector(".cards"), fresh.querySelector(".cards")];
  if (old.hasAttribute("data-quiet")) {
    if (busy(old)) return; // One approval's page: the answer to a decision will say what became of it.
    old.replaceWith(fresh);
    localise(fresh);
    return;
  }
  let came = Number(fresh.dataset.count) - Number(old.dataset.count);
  if (list && freshList) {
    came = anchored(() => fold(list, freshList));
    old.querySelector(".count").textContent = fresh.querySelector(".count").textContent;
    Object.assign(old.dataset, fresh.dataset);
  } else {
    const live = old.querySelector(".live");
    old.replaceWith(fresh);
    fresh.querySelector(".live").replaceWith(live);
  }
  settle();
  if (came > 0) say(came === 1 ? "A new approval is waiting." : `${came} new approvals are waiting.`);
}

async function refresh() {
  page.stale = true;
  if (page.fetching) return;
  page.fetching = true;
  page.stale = false;
  let pause = CALM_MS;
  try {
    const answer = await fetch(location.href, { headers: { "Haldir-Live": "1" } });
    if (answer.redirected || answer.status === 401) {
      location.reload(); // To the form that takes a key, and back here.
    } else if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      takeOver(document.adoptNode(fresh.getElementById(PENDING)));
      document.title = fresh.title;
      tick();
    } else {
      throw new Error(answer.statusText);
    }
  } catch {
    page.stale = true; // Away, or too busy: it is not known what waits now.
    pause = RETRY_MS;
  }
  setTimeout(() => {
    page.fetching = false;
    if (page.stale) refresh();
  }, pause);
}

function show(on, text) {
  const live = document.querySelector(".live");
  if (!live) return;
  live.classList.toggle("on", on);
  live.classList.toggle("off", !on);
  live.textContent = text;
}

function listen() {
  const source = new EventSource("/approvals/events");
  source.addEventListener("open", () => show(true, "Live"));
  source.addEventListener("pending", (event) => {
    if (String(JSON.parse(event.data).version) !== part().dataset.stamp) refresh();
  });
  source.addEventListener("error", () => {
    show(false, "Reconnecting");
    if (source.readyState === EventSource.CLOSED) {
      refresh(); // Which tells whether somebody is still signed in.
      setTimeout(listen, RETRY_MS);
    }
  });
}

function touch() {
  if (Date.now() - page.touched < TOUCH_MS) return;
  page.touched = Date.now();
  fetch(location.href, { method: "HEAD" });
}

function begin() {
  page.skew = Number(part().dataset.now) * 1000 - Date.now();
  localise(document);
  tick();
  setInterval(tick, 1000);
  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".decide")) return;
    if ("moved" in document.documentElement.dataset) {
      event.preventDefault();
      say("The list has just changed. Look again before you decide.");
    }
  });
  for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, touch, { passive: true });
  listen();
}

if (part()) begin();
