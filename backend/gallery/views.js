"use strict";
// The four ways of looking at the chosen rows. Text enters the page as text only.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const payload = (kind, place) => document.getElementById(`${kind}-${place}`)?.textContent || "";

// Pictures are decoded when they come near the window.
const nearby = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    nearby.unobserve(target);
    target.style.backgroundImage = `url(${payload("strip", target.dataset.place)})`;
  }
}, { rootMargin: "400px" });

// The front view of a result; moving the pointer across it goes around the result.
function picture(row) {
  if (!row.frames) {
    return make("div", { class: "picture empty" }, row.trouble || "It left no sheet.");
  }
  const tile = make("div", { class: row.frames > 1 ? "picture" : "picture whole", "data-place": row.place });
  const turnTo = (frame) => { tile.style.backgroundPositionX = `${(100 * frame) / Math.max(row.frames - 1, 1)}%`; };
  if (row.frames > 1) {
    tile.style.backgroundSize = `${row.frames * 100}% 100%`;
    tile.addEventListener("pointermove", (event) => {
      const box = tile.getBoundingClientRect();
      turnTo(Math.max(0, Math.min(row.frames - 1, Math.floor((row.frames * (event.clientX - box.left)) / box.width))));
    });
    tile.addEventListener("pointerleave", () => turnTo(0));
  }
  nearby.observe(tile);
  return tile;
}

function badge(row) {
  return row.status === "done" ? null : make("span", { class: `badge ${row.status.replace(/ .*/, "")}` }, row.status);
}

const KEY_MEASURES = ["recall", "judge_noun_share", "judge_colour_share", "judge_ig", "clip_similarity", "growth", "total_s"];
const keyMeasures = () => KEY_MEASURES.filter(hasValues).slice(0, 4);

function measures(row) {
  return make("dl", { class: "measures" }, ...keyMeasures().filter((name) => row[name] !== null).map((name) =>
    make("div", { title: COLUMN[name].about }, make("dt", {}, COLUMN[name].title), make("dd", {}, withUnit(row[name], COLUMN[name])))));
}

function settingsLine(row, without = []) {
  const parts = ["method", "preset", "seed", "prior"].filter((name) => !without.includes(name) && row[name] !== null && (name === "method" || valuesOf(name).length > 1));
  return parts.map((name) => (name === "seed" ? `seed ${row.seed}` : row[name])).join(" · ");
}

function card(row, order, without = []) {
  const small = without.length > 0;
  const name = [row.prompt || row.id, settingsLine(row), row.status === "done" ? "" : row.status].filter(Boolean).join(", ");
  return make("button", { type: "button", class: `card ${small ? "small" : ""} ${row.status.replace(/ .*/, "")}`, "data-job": row.id, "aria-label": `Open ${name}`, title: row.id, onclick: () => openDetail(row, order) },
    picture(row), badge(row),
    small ? null : make("strong", {}, row.prompt || row.id),
    make("span", { class: "line" }, small ? settingsLine(row, without) : [row.sketch, settingsLine(row)].filter(Boolean).join(" · ")),
    row.trouble && row.frames ? make("span", { class: "trouble" }, row.trouble) : null,
    measures(row));
}

const nothing = () => make("p", { class: "nothing" }, "No job passes these filters.");

function showSheets(rows) {
  return rows.length ? make("div", { class: "sheets" }, ...rows.map((row) => card(row, rows))) : nothing();
}

const COMPARED = ["method", "preset", "prior", "seed", "slack_stroke_radii", "mode"];

// A grid: a row for each prompt, sketch and seed (what the columns show is left out), a column for each method.
function showCompare(rows, by) {
  if (!rows.length) return nothing();
  const columns = valuesOf(by).filter((value) => rows.some((row) => row[by] === value));
  const heads = ["prompt", "sketch", "seed", "preset", "prior"].filter((name) => name !== by && (name === "prompt" || valuesOf(name).length > (name === "sketch" ? 0 : 1)));
  const groups = groupBy(rows, (row) => JSON.stringify(heads.map((name) => row[name])));
  const head = make("tr", {}, make("th", { scope: "col" }, heads.map((name) => COLUMN[name].title).join(", ")),
    ...columns.map((value) => make("th", { scope: "col" }, by === "seed" ? `seed ${value}` : String(value))));
  const order = [...groups.values()].flatMap((group) => columns.flatMap((value) => group.filter((row) => row[by] === value)));
  const lines = [...groups.values()].map((group) => {
    const [first] = group;
    const title = make("th", { scope: "row" }, make("strong", {}, first.prompt || first.id),
      ...heads.slice(1).filter((name) => first[name] !== null).map((name) => make("span", {}, name === "seed" ? `seed ${first.seed}` : String(first[name]))));
    return make("tr", {}, title, ...columns.map((value) =>
      make("td", {}, make("div", { class: "cell" }, ...group.filter((row) => row[by] === value).map((row) => card(row, order, [by, ...heads]))))));
  });
  return make("div", { class: "scroll" }, make("table", { class: "compare" }, make("thead", {}, head), make("tbody", {}, ...lines)));
}

const LONG = ["config_sha256", "sketch_sha256", "prior_weights_sha256", "versions", "phases_s", "prior_name", "trouble", "notes"];

function showTable(rows, state, resort) {
  const known = DATA.columns.filter((column) => !LONG.includes(column.name) && hasValues(column.name));
  // What is the same everywhere is said once, above.
  const same = known.filter((column) => column.name !== "status" && (column.group === "settings" || column.kind === "text") && ROWS.length > 1
    && valuesOf(column.name).length === 1 && ROWS.every((row) => row[column.name] !== null || row.status !== "done"));
  const columns = known.filter((column) => !same.includes(column));
  const caption = same.length ? make("caption", {}, `The same for all: ${same.map((column) => `${column.title} ${withUnit(valuesOf(column.name)[0], column)}`).join(", ")}.`) : null;
  const head = columns.map((column) => {
    const sorted = state.sort === column.name;
    const arrow = sorted ? (state.descending ? " ↓" : " ↑") : "";
    const unit = column.unit && column.unit !== "1" ? make("small", {}, ` ${column.unit}`) : null;
    return make("th", { scope: "col", class: isNumber(column) ? "number" : null, "aria-sort": sorted ? (state.descending ? "descending" : "ascending") : null },
      make("button", { type: "button", title: column.about, onclick: () => resort(column.name) }, column.title, unit, arrow));
  });
  const lines = rows.map((row) => make("tr", { "data-job": row.id, class: row.status.replace(/ .*/, "") }, ...columns.map((column) =>
    column.name === "id"
      ? make("th", { scope: "row" }, make("button", { type: "button", class: "link", onclick: () => openDetail(row, rows) }, row.id))
      : make("td", { class: isNumber(column) ? "number" : null, title: column.kind === "text" ? row[column.name] : null }, String(shorten(row[column.name], column))))));
  return rows.length ? make("div", { class: "scroll" }, make("table", { class: "rows" }, caption || "", make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...lines))) : nothing();
}

// Mean with its standard deviation as a dot and a line over the range of all groups.
function whisker(figures, low, high) {
  const x = (value) => 4 + (92 * (value - low)) / (high - low);
  const [left, right] = [x(figures.mean - (figures.deviation || 0)), x(figures.mean + (figures.deviation || 0))];
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  drawing.setAttribute("viewBox", "0 0 100 10");
  drawing.setAttribute("aria-hidden", "true");
  for (const [tag, values] of [["line", { x1: left, x2: right, y1: 5, y2: 5 }], ["circle", { cx: x(figures.mean), cy: 5, r: 3 }]]) {
    const shape = document.createElementNS(space, tag);
    for (const [name, value] of Object.entries(values)) shape.setAttribute(name, value);
    drawing.append(shape);
  }
  return drawing;
}

function showSummary(rows, by) {
  if (!rows.length) return nothing();
  const groups = groupBy(rows, (row) => (row[by] === null ? "none" : String(row[by])));
  const names = [...groups.keys()].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  const columns = MEASURES.filter((column) => rows.some((row) => row[column.name] !== null));
  const head = make("tr", {}, make("th", { scope: "col" }, "Figure"), ...names.map((name) => make("th", { scope: "col" }, by === "seed" ? `seed ${name}` : name)));
  const count = (status) => make("tr", {}, make("th", { scope: "row" }, status), ...names.map((name) => make("td", {}, String(groups.get(name).filter((row) => row.status === status).length))));
  const lines = columns.map((column) => {
    const figures = names.map((name) => spread(groups.get(name), column.name));
    const known = figures.filter(({ n }) => n);
    const low = Math.min(...known.map(({ mean, deviation }) => mean - (deviation || 0))), high = Math.max(...known.map(({ mean, deviation }) => mean + (deviation || 0)));
    const means = known.map(({ mean }) => mean);
    const best = column.better && new Set(means).size > 1 ? (column.better === "higher" ? Math.max(...means) : Math.min(...means)) : null;
    const title = make("th", { scope: "row", title: column.about }, column.title, column.better ? make("small", {}, column.better === "higher" ? " ↑" : " ↓") : null);
    return make("tr", { "data-figure": column.name }, title, ...figures.map((one) => one.n
      ? make("td", { class: one.mean === best ? "best" : null, "data-mean": one.mean, title: `${one.n} values, ${shorten(one.low, column)} to ${shorten(one.high, column)}` },
        make("span", {}, withUnit(one.mean, column), one.deviation === null ? null : make("small", {}, ` ± ${shorten(one.deviation, column)}`)), high > low ? whisker(one, low, high) : null)
      : make("td", {}, "–")));
  });
  const statuses = valuesOf("status").map(count);
  return make("div", { class: "scroll" }, make("table", { class: "summary" },
    make("caption", {}, "Mean ± sample standard deviation over the jobs that pass the filters; the better mean of a row in bold. ↑ higher is better, ↓ lower is better."),
    make("thead", {}, head), make("tbody", {}, ...statuses, ...lines)));
}
