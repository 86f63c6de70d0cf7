"use strict";
// Filters, views and their buttons. What is chosen stands in the address, so that a view can be passed on.
const element = (id) => document.getElementById(id);
const VIEWS = ["sheets", "compare", "table", "summary"];
const CHOICES = ["method", "prompt", "sketch", "seed", "status", "preset", "prior", "mode"];
const state = { view: "sheets", text: "", choices: {}, bounds: [], sort: "id", descending: false, by: "method" };

function show() {
  let rows = ROWS.filter((row) => isWanted(row, state));
  rows = state.sort === "plan" ? rows : inOrder(rows, state.sort, state.descending);
  const made = {
    sheets: () => showSheets(rows),
    compare: () => showCompare(rows, state.by),
    table: () => showTable(rows, state, resort),
    summary: () => showSummary(rows, state.by),
  }[state.view]();
  nearby.disconnect();
  element("main").replaceChildren(made);
  for (const tile of made.querySelectorAll(".picture[data-place]")) nearby.observe(tile);
  element("count").textContent = rows.length === ROWS.length ? `${ROWS.length} jobs` : `${rows.length} of ${ROWS.length} jobs`;
  element("count").dataset.shown = rows.length;
  element("reset").hidden = !(state.text || state.bounds.length || Object.keys(state.choices).length);
  for (const tab of document.querySelectorAll("[role=tab]")) {
    tab.setAttribute("aria-selected", tab.dataset.view === state.view);
    tab.tabIndex = tab.dataset.view === state.view ? 0 : -1;
  }
  for (const field of document.querySelectorAll("[data-for]")) field.hidden = !field.dataset.for.split(" ").includes(state.view);
  element("by-title").textContent = state.view === "compare" ? "Columns" : "Group by";
  element("direction").textContent = state.descending ? "↓" : "↑";
  element("sort").value = state.sort;
  showBounds();
  remember();
}

function resort(name) {
  state.descending = state.sort === name ? !state.descending : COLUMN[name].better === "higher";
  state.sort = name;
  show();
}

function showBounds() {
  element("bounds").replaceChildren(...state.bounds.map((bound) => make("button", { type: "button", class: "chip", "aria-label": `Remove the bound on ${COLUMN[bound.name].title}`, onclick: () => {
    state.bounds = state.bounds.filter((other) => other !== bound);
    show();
  } }, `${COLUMN[bound.name].title} ${bound.side === "ge" ? "≥" : "≤"} ${bound.value} ✕`)));
}

function option(value, title) {
  return make("option", { value }, title);
}

// Whether two columns tell the same apart, so that a choice of one would repeat the other's.
function follows(name, other) {
  const pairs = new Set(ROWS.map((row) => JSON.stringify([row[name], row[other]])));
  return pairs.size === valuesOf(name).length && pairs.size === valuesOf(other).length;
}

function buildFilters() {
  for (const name of CHOICES) {
    const values = valuesOf(name);
    if (values.length < 2 || (name === "sketch" && follows("sketch", "prompt"))) continue;
    const select = make("select", { id: `choice-${name}`, onchange: () => {
      if (select.value === "") delete state.choices[name];
      else state.choices[name] = select.value.slice(1);
      show();
    } }, option("", "all"), ...values.map((value) => option(`=${value}`, String(value))));
    element("choices").append(make("label", { class: "field" }, make("span", {}, COLUMN[name].title), select));
  }
  for (const [group, columns] of groupBy(NUMBERS.filter((column) => column.group !== "job"), (column) => column.group)) {
    element("bound-column").append(make("optgroup", { label: GROUP_TITLES[group] }, ...columns.map((column) => option(column.name, column.title))));
  }
  if (NUMBERS.includes(COLUMN.recall)) element("bound-column").value = "recall";
  const sortable = DATA.columns.filter((column) => hasValues(column.name) && (isNumber(column) || ["id", "prompt", "method", "status", "sketch"].includes(column.name)));
  element("sort").append(option("plan", "Order of the plan"), ...sortable.map((column) => option(column.name, column.title)));
  const by = COMPARED.filter((name) => valuesOf(name).length > 1);
  element("by").append(...(by.length ? by : ["method"]).map((name) => option(name, COLUMN[name].title)));
  state.sort = "plan";
  state.by = element("by").value;
}

function addBound() {
  const text = element("bound-value").value;
  if (text === "" || !Number.isFinite(Number(text))) return element("bound-value").focus();
  state.bounds.push({ name: element("bound-column").value, side: element("bound-side").value, value: Number(text) });
  element("bound-value").value = "";
  show();
}

function remember() {
  const kept = { ...state, bounds: state.bounds.map(({ name, side, value }) => [name, side, value]) };
  history.replaceState(null, "", `#${encodeURIComponent(JSON.stringify(kept))}`);
}

function recall() {
  let kept = {};
  try { kept = JSON.parse(decodeURIComponent(location.hash.slice(1))) || {}; } catch { return; }
  if (VIEWS.includes(kept.view)) state.view = kept.view;
  if (typeof kept.text === "string") state.text = kept.text;
  if (kept.sort === "plan" || COLUMN[kept.sort]) state.sort = kept.sort;
  state.descending = kept.descending === true;
  if ([...element("by").options].some((one) => one.value === kept.by)) state.by = kept.by;
  for (const [name, value] of Object.entries(kept.choices || {})) {
    if (element(`choice-${name}`) && typeof value === "string") state.choices[name] = value;
  }
  for (const bound of Array.isArray(kept.bounds) ? kept.bounds : []) {
    const [name, side, value] = Array.isArray(bound) ? bound : [];
    if (COLUMN[name] && (side === "ge" || side === "le") && Number.isFinite(value)) state.bounds.push({ name, side, value });
  }
  element("text").value = state.text;
  element("by").value = state.by;
  for (const [name, value] of Object.entries(state.choices)) element(`choice-${name}`).value = `=${value}`;
}

function paint(theme) {
  document.documentElement.dataset.theme = theme;
}

const statuses = valuesOf("status").map((status) => `${ROWS.filter((row) => row.status === status).length} ${status}`).join(", ");
element("counts").textContent = `${ROWS.length} jobs: ${statuses}`;
element("footer").textContent = DATA.licence ? `Assets are drawn by ${DATA.licence}.` : "";
element("notes").hidden = !element("notes").children.length;
buildFilters();
recall();
element("text").addEventListener("input", (event) => { state.text = event.target.value; show(); });
element("sort").addEventListener("change", (event) => {
  state.sort = event.target.value;
  state.descending = COLUMN[state.sort]?.better === "higher";
  show();
});
element("direction").addEventListener("click", () => { state.descending = !state.descending; show(); });
element("by").addEventListener("change", (event) => { state.by = event.target.value; show(); });
element("bound-add").addEventListener("click", addBound);
element("bound-value").addEventListener("keydown", (event) => { if (event.key === "Enter") addBound(); });
element("reset").addEventListener("click", () => {
  Object.assign(state, { text: "", choices: {}, bounds: [] });
  element("text").value = "";
  for (const select of document.querySelectorAll("#choices select")) select.value = "";
  show();
});
for (const tab of document.querySelectorAll("[role=tab]")) {
  tab.addEventListener("click", () => { state.view = tab.dataset.view; show(); });
  tab.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    state.view = VIEWS[(VIEWS.indexOf(state.view) + by + VIEWS.length) % VIEWS.length];
    show();
    document.querySelector("[aria-selected=true]").focus();
  });
}
paint(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
element("theme").addEventListener("click", () => paint(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
show();
