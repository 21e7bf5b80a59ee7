// Two things that HTML cannot do by itself: refresh a page when something has changed, and follow a log.
"use strict";

// One pulse per page. The server says at most four times a second that something has changed; htmx then fetches the
// page again and morphs its live part. Hidden pages do not ask.
const pulse = document.body.dataset.pulse;
if (pulse) {
  let waiting = false;
  const refresh = () => {
    if (document.hidden) {
      waiting = true;
      return;
    }
    document.body.dispatchEvent(new CustomEvent("flow-change"));
  };
  const source = new EventSource(pulse);
  source.addEventListener("change", refresh);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && waiting) {
      waiting = false;
      refresh();
    }
  });
  window.addEventListener("pagehide", () => source.close());
}

// Follows a log: the stream tells it from the start, so that nothing is missing and nothing is there twice.
const log = document.getElementById("log");
if (log && log.dataset.follow) {
  follow(log, document.getElementById("log-state")).catch(() => {
    document.getElementById("log-state").textContent = "the connection was lost; reload the page to go on";
  });
}

async function follow(log, state) {
  const response = await fetch(log.dataset.follow);
  if (!response.ok) throw new Error(response.statusText);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  state.textContent = "following";
  let rest = "";
  let isFirst = true;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const batch = document.createDocumentFragment();
    for (const line of lines.filter((line) => line)) {
      const entry = JSON.parse(line);
      if (entry.end) {
        state.textContent = entry.state ? `ended: ${entry.state}` : "ended";
      } else {
        batch.append(row(entry));
      }
    }
    if (isFirst && batch.childNodes.length) {
      log.replaceChildren();
      isFirst = false;
    }
    log.append(batch);
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  }
}

// Text nodes only: a log is never read as HTML.
function row(entry) {
  const line = document.createElement("span");
  line.className = entry.stream;
  const at = document.createElement("span");
  at.className = "at";
  at.textContent = entry.timestamp.slice(11, 19);
  line.append(at, ` ${visible(entry.event)}\n`);
  return line;
}

// Hidden characters are written out, as the server does it in pages.
const HIDDEN =
  /[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
function visible(text) {
  return text.replace(HIDDEN, (character) => `\\u{${character.codePointAt(0).toString(16)}}`);
}
