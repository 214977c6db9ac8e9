"use strict";

const $ = (id) => document.getElementById(id);
const make = (tag, fields = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), fields);
  element.append(...children);
  return element;
};

let token = new URLSearchParams(location.hash.slice(1)).get("token") ?? sessionStorage.getItem("token") ?? "";
history.replaceState(null, "", location.pathname); // The token does not stay in the address, nor in its history.

let query = null; // The picture that is being looked for.
let asked = 0; // Counts searches, so that a late answer does not replace a newer one.
let calendar = false; // Whether times are dates, and not seconds from some start.
let most = Infinity; // Bytes that the server takes.
let shown = []; // Addresses of pictures to let go of.

async function ask(path, options = {}) {
  const response = await fetch(`.${path}`, { // relative: a proxy may have put the page below a prefix
    ...options,
    headers: { Authorization: `Bearer ${token}`, ...options.headers },
  }).catch(() => { throw new Error("The server does not answer."); });
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  if (response.status === 401) enter();
  throw new Error(told.error ?? `The server answered ${response.status}.`);
}

function enter() {
  $("entrance").hidden = false;
  $("desk").hidden = true;
  $("token").focus();
}

async function begin() {
  const facts = await (await ask("/facts")).json();
  sessionStorage.setItem("token", token);
  $("entrance").hidden = true;
  $("desk").hidden = false;
  const count = `${facts.items.toLocaleString()} picture${facts.items === 1 ? "" : "s"}`;
  const cameras = facts.cameras.length;
  most = facts.num_bytes;
  $("k").max = facts.num_answers;
  $("facts").textContent = [
    count,
    cameras ? `${cameras} camera${cameras === 1 ? "" : "s"}` : "",
    facts.calibrated ? "" : "not calibrated: similarities, no probabilities",
  ].filter(Boolean).join(" · ");

  $("cameras").hidden = cameras < 2;
  $("camera-list").replaceChildren(...facts.cameras.map((camera) => {
    const button = make("button", { type: "button", textContent: camera });
    button.value = JSON.stringify(camera);
    button.setAttribute("aria-pressed", "true");
    button.onclick = () => { choose_camera(button); search(); };
    return button;
  }));

  $("window").hidden = facts.since === null;
  calendar = facts.since !== null && facts.since > 1e8;
  for (const [id, value] of [["since", facts.since], ["until", facts.until]]) {
    Object.assign($(id), calendar ? { type: "datetime-local", step: 1 } : { type: "number", step: "any" });
    delete $(id).dataset.touched;
    if (value === null) continue;
    const edge = id === "since" ? Math.floor(value) : Math.ceil(value) + 1; // until is exclusive
    $(id).value = calendar ? asInput(edge) : edge;
  }
}

function choose_camera(button) { // Of all cameras, the first click chooses one alone; later ones add or take away.
  const buttons = [...$("camera-list").children];
  if (buttons.every(pressed)) buttons.forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
  else button.setAttribute("aria-pressed", String(!pressed(button)));
}
const pressed = (button) => button.getAttribute("aria-pressed") === "true";

function asInput(seconds) {
  const date = new Date(seconds * 1000);
  return new Date(date - date.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}

function asSeconds(id) {
  const { value } = $(id);
  if (value === "") return null;
  return calendar ? new Date(value).getTime() / 1000 : Number(value);
}

function asTime(seconds, timeStyle = "medium") {
  if (seconds === null) return "";
  if (calendar) return new Date(seconds * 1000).toLocaleString([], { dateStyle: "short", timeStyle });
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60].map((n) => String(n).padStart(2, "0"));
  return (parts[0] === "00" ? parts.slice(1) : parts).join(":");
}

function choose(file) {
  if (!file) return;
  // Said here: a server that refuses before it has read everything may not be heard.
  if (file.size > most) return say(`Expected a file of at most ${Math.floor(most / 1e6)} MB.`, "fault");
  query = file;
  URL.revokeObjectURL($("preview").src);
  $("preview").src = URL.createObjectURL(file);
  $("preview").alt = `What is looked for: ${file.name}`;
  $("preview").hidden = false;
  $("hint").hidden = true;
  search().then(() => { // On a phone the answer is below what is asked.
    if (matchMedia("(max-width: 46rem)").matches) $("status").scrollIntoView({ behavior: "smooth" });
  });
}

async function search() {
  if (!query) return;
  const number = ++asked;
  const parameters = new URLSearchParams({ k: $("k").value || "20", by: $("by").value });
  const buttons = [...$("camera-list").children];
  const chosen = buttons.filter(pressed);
  if (buttons.length && !chosen.length) return say("Choose at least one camera.", "fault");
  if (chosen.length < buttons.length) chosen.forEach((button) => parameters.append("camera", button.value));
  for (const id of ["since", "until"]) {
    const seconds = asSeconds(id);
    // An untouched window leaves nothing out, not even what has no time.
    if (seconds !== null && $(id).dataset.touched) parameters.set(id, seconds);
  }
  say("Looking …");
  try {
    const kind = query.type || "application/octet-stream";
    const response = await ask(`/search?${parameters}`, { method: "POST", body: query, headers: { "Content-Type": kind } });
    const answer = await response.json();
    if (number === asked) show(answer);
  } catch (error) {
    if (number === asked) { clear(); say(error.message, "fault"); }
  }
}

function say(text, kind = "quiet") {
  $("status").textContent = text;
  $("status").className = kind;
}

function clear() {
  shown.forEach((address) => URL.revokeObjectURL(address));
  shown = [];
  $("matches").replaceChildren();
  $("timeline").hidden = true;
}

const percent = (p) => p > 0.999 ? "over 99.9 %" : p < 0.001 ? "under 0.1 %" : `${(100 * p).toFixed(p > 0.985 || p < 0.0995 ? 1 : 0)} %`;
const strength = (match) => match.probability ?? Math.max(0, match.similarity);

function named(match) {
  if (match.identity !== null) return match.identity;
  return match.track === null ? "no name" : `track ${match.track}`;
}

function verdict({ matches, threshold, prior, unfamiliar }) {
  if (!matches.length) return "Nothing to compare with: no picture by these cameras in this time.";
  if (unfamiliar) return "Unlike every picture of this gallery: it may show something else, and no probability holds.";
  const best = matches.find((match) => !match.is_copy);
  if (!best) return "This very picture is in the gallery, and nothing else to compare it with.";
  const who = best.identity === null && best.track === null ? "someone without a name" : named(best);
  const where = [best.camera === null ? "" : `by camera ${best.camera}`, asTime(best.time)].filter(Boolean).join(", ");
  const sure = best.probability === null ? `similarity ${best.similarity.toFixed(2)}` : `${percent(best.probability)} if it was ${percent(prior)} before`;
  const below = threshold !== null && best.similarity < threshold;
  if (best.probability === null ? below : best.probability < 0.5) return `None of these, it seems. The nearest is ${who} (${sure}).`;
  const how = below ? "Perhaps" : best.probability === null ? "Most alike" : "Most likely";
  const copy = matches[0].is_copy ? " This very picture is in the gallery too." : "";
  return `${how} ${who}${where ? `, seen ${where}` : ""} (${sure}).${copy}`;
}

function show(answer) {
  clear();
  say(verdict(answer), "verdict");
  const below = (match) => answer.threshold !== null && match.similarity < answer.threshold;
  let drawn = false;
  answer.matches.forEach((match, rank) => {
    if (below(match) && !drawn) {
      drawn = true;
      const share = `${+(100 * answer.false_alarms).toPrecision(2)} %`;
      $("matches").append(make("li", { className: "line", textContent: `Only ${share} of strangers come above this line.` }));
    }
    $("matches").append(card(match, rank, answer.query, below(match)));
  });
  draw(answer.matches.filter((match) => match.time !== null), below);
}

function card(match, rank, name, below) {
  const picture = make("div", { className: "picture", textContent: match.picture ? "" : "no picture kept" });
  if (match.picture) {
    ask(`/items/${match.id}/picture`).then((response) => response.blob()).then((blob) => {
      const address = URL.createObjectURL(blob);
      shown.push(address);
      picture.append(make("img", { src: address, alt: `Match ${rank + 1}` }));
    }).catch(() => { picture.textContent = "gone"; });
  }
  const bar = make("div", { className: "bar" }, make("i"));
  bar.firstChild.style.width = `${100 * strength(match)}%`;
  const marks = make("div", { className: "marks" });
  if (match.is_copy) marks.append(make("span", { className: "quiet", textContent: "the very picture searched with" }));
  else for (const [same, kind, text] of [[true, "right", "right"], [false, "wrong", "wrong"]]) {
    const button = make("button", { type: "button", className: kind, textContent: text });
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-label", `Match ${rank + 1} is ${text}`);
    button.title = "A second click takes it back";
    button.onclick = () => mark(marks, button, { query: name, item: match.id, similarity: match.similarity, same });
    marks.append(button);
  }
  const sure = match.probability === null ? "" : `${percent(match.probability)} · `;
  const place = [match.camera === null ? "" : `${match.camera}`, asTime(match.time)].filter(Boolean).join(" · ");
  const words = make("div", { className: "words" },
    make("span", { className: "who", textContent: named(match) }),
    make("span", { className: "quiet", textContent: place }),
    bar,
    make("span", { className: "quiet", textContent: `${sure}similarity ${match.similarity.toFixed(3)}` }),
    marks);
  const element = make("li", { title: match.source ?? "" }, picture, words);
  element.dataset.item = match.id;
  element.classList.toggle("below", below);
  return element;
}

async function mark(marks, button, verdict) {
  const again = pressed(button); // A second click takes it back.
  if (again) verdict.same = null;
  try {
    await ask("/marks", { method: "POST", body: JSON.stringify(verdict), headers: { "Content-Type": "application/json" } });
    for (const other of marks.children) other.setAttribute("aria-pressed", String(other === button && !again));
  } catch (error) {
    say(error.message, "fault");
  }
}

function draw(matches, below) {
  $("timeline").hidden = matches.length < 2;
  if (matches.length < 2) return;
  const svg = (tag, fields, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(fields)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const names = [...new Set(matches.map((match) => match.camera))].sort((a, b) => String(a).localeCompare(String(b), undefined, { numeric: true }));
  const cut = (text) => text.length > 12 ? `${text.slice(0, 11)}…` : text;
  const width = $("timeline").clientWidth - 30;
  const row = 30, top = 6, bottom = 22, right = 14;
  const left = 16 + 7.2 * Math.max(...names.map((name) => cut(String(name ?? "")).length));
  const height = top + row * names.length + bottom;
  const times = matches.map((match) => match.time);
  const first = Math.min(...times), last = Math.max(...times), span = last - first || 1;
  const x = (time) => left + (width - left - right) * (time - first) / span;
  const y = (camera) => top + row * (names.indexOf(camera) + 0.5);
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Matches over time, a row for each camera" });
  for (const name of names) {
    chart.append(svg("line", { x1: left, x2: width - right, y1: y(name), y2: y(name) }));
    chart.append(svg("text", { x: 0, y: y(name) + 4 }, cut(String(name ?? ""))));
  }
  const style = span > 600 ? "short" : "medium"; // Without seconds the two fit beside each other on a phone.
  chart.append(svg("text", { x: left, y: height - 4 }, asTime(first, style)));
  chart.append(svg("text", { x: width - right, y: height - 4, "text-anchor": "end" }, last > first ? asTime(last, style) : ""));
  const cards = [...$("matches").querySelectorAll("li[data-item]")];
  [...matches].reverse().forEach((match) => {
    const dot = svg("circle", { cx: x(match.time), cy: y(match.camera), r: 3.5 + 5.5 * strength(match), class: below(match) ? "below" : "" },
      svg("title", {}, `${named(match)}, ${asTime(match.time)}`));
    dot.onclick = () => {
      cards.forEach((element) => element.classList.remove("lit"));
      const element = cards.find((each) => each.dataset.item === match.id);
      element.classList.add("lit");
      element.scrollIntoView({ behavior: "smooth", block: "center" });
    };
    chart.append(dot);
  });
  $("chart").replaceChildren(chart);
}

$("entrance").onsubmit = (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  begin().catch((error) => { $("entrance").querySelector("p").textContent = error.message; });
};
$("file").onchange = () => { choose($("file").files[0]); $("file").value = ""; }; // The same one may be chosen again.
for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => { // Anywhere: beside its place, the browser would leave the page for the picture.
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && !$("desk").hidden) choose(event.dataTransfer.files[0]);
  });
}
addEventListener("paste", (event) => choose([...event.clipboardData.files].find((file) => file.type.startsWith("image/"))));
for (const id of ["since", "until"]) $(id).addEventListener("change", () => { $(id).dataset.touched = "yes"; search(); });
for (const id of ["by", "k"]) $(id).addEventListener("change", search);
$("all").onclick = () => {
  [...$("camera-list").children].forEach((button) => button.setAttribute("aria-pressed", "true"));
  search();
};
begin().catch((error) => { if ($("entrance").hidden) { $("desk").hidden = false; say(error.message, "fault"); } });
