"use strict";
// One job at full size: the asset to turn, its contact sheet and everything the table knows of it.
const detail = document.getElementById("detail");
const stageTold = document.getElementById("stage-told");
let orbit = null, shownRow = null, shownOrder = [];
const arriving = new Map();

// Called by the files beside a page that is too large to hold its assets.
function receiveAsset(job, text) {
  arriving.get(job)?.(text);
  arriving.delete(job);
}

function fetchBeside(job) {
  return new Promise((resolve, reject) => {
    arriving.set(job, resolve);
    const script = make("script", { src: `${DATA.beside}/${encodeURIComponent(job)}.js`, onload: () => script.remove(),
      onerror: () => reject(new Error(`${DATA.beside}/${job}.js is not beside this page`)) });
    document.head.append(script);
  });
}

async function assetBytes(row) {
  const text = DATA.beside === null ? payload("asset", row.place) : await fetchBeside(row.id);
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer;
}

async function showAsset(row) {
  const stage = document.getElementById("stage");
  const say = (text) => { stageTold.textContent = text; };
  stage.dataset.triangles = "";
  stage.classList.toggle("without", !row.asset);
  if (orbit) orbit.clear();
  if (!row.asset) return say(row.status === "done" ? "The asset of this job cannot be shown." : `This job is ${row.status}.`);
  say("Opening …");
  try {
    orbit ||= new Orbit(document.getElementById("canvas"));
    const buffer = await assetBytes(row);
    if (row !== shownRow) return;
    const triangles = await orbit.show(buffer);
    if (row !== shownRow) return;
    stage.dataset.triangles = triangles;
    say("");
  } catch (error) {
    stage.classList.add("without");
    say(orbit ? `The asset cannot be shown: ${error.message}.` : "This browser draws no 3D (WebGL is off).");
  }
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 1).replace(/[{}"\n]/g, " ").replace(/\s+/g, " ").trim(); } catch { return text; }
}

function factsOf(row) {
  const last = (column) => column.group === "job";
  const groups = groupBy([...DATA.columns].sort((a, b) => last(a) - last(b)).filter((column) => row[column.name] !== null && !["trouble", "status", "prompt", "notes"].includes(column.name)), (column) => column.group);
  return [...groups].map(([group, columns]) => make("section", {}, make("h3", {}, GROUP_TITLES[group]), make("dl", {}, ...columns.map((column) => {
    const value = row[column.name];
    const digest = column.name.endsWith("sha256");
    const text = ["parameters", "versions", "phases_s"].includes(column.name) ? pretty(value) : digest ? `${value.slice(0, 12)}…` : String(withUnit(value, column));
    return make("div", { title: digest ? value : column.about }, make("dt", {}, column.title), make("dd", {}, text));
  }))));
}

function openDetail(row, order) {
  shownRow = row;
  shownOrder = order;
  const told = make("small", {}, [row.sketch, settingsLine(row)].filter(Boolean).join(" · "));
  document.getElementById("detail-title").replaceChildren(row.prompt || row.id, told, badge(row) || "");
  const links = row.file ? make("p", { class: "links" }, make("a", { href: row.file.split("/").map(encodeURIComponent).join("/") }, "asset.glb"), " in full size and detail") : null;
  document.getElementById("facts").replaceChildren(
    ...[row.trouble ? make("p", { class: "trouble" }, row.trouble) : null, row.notes ? make("p", { class: "said" }, row.notes) : null, links].filter(Boolean), ...factsOf(row));
  const source = payload("sheet", row.place);
  document.getElementById("sheet").replaceChildren(...(source ? [make("img", { src: source, width: row.size[0], height: row.size[1], alt: `Contact sheet of ${row.id}` })] : []));
  const at = order.indexOf(row);
  document.getElementById("previous").disabled = at <= 0;
  document.getElementById("next").disabled = at < 0 || at >= order.length - 1;
  if (!detail.open) detail.showModal();
  detail.querySelector(".body").scrollTop = 0;
  showAsset(row);
}

function step(by) {
  const next = shownOrder[shownOrder.indexOf(shownRow) + by];
  if (next) openDetail(next, shownOrder);
}

document.getElementById("previous").addEventListener("click", () => step(-1));
document.getElementById("next").addEventListener("click", () => step(1));
document.getElementById("close").addEventListener("click", () => detail.close());
detail.addEventListener("close", () => {
  if (detail.open) return; // the event comes late: another job may be open by now
  shownRow = null;
  if (orbit) orbit.clear();
});
detail.addEventListener("click", (event) => { if (event.target === detail) detail.close(); });
detail.addEventListener("keydown", (event) => {
  if (event.target.id === "canvas" || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
