"use strict";
// The table in memory: rows with their pictures, what is chosen of them, their order, and figures over them.
const DATA = JSON.parse(document.getElementById("data").textContent);
const COLUMN = Object.fromEntries(DATA.columns.map((column) => [column.name, column]));
const GROUP_TITLES = { job: "Job", settings: "Settings", fidelity: "Fidelity", judge: "Judge", cost: "Cost", versions: "Versions" };

const ROWS = DATA.rows.map((cells, place) => {
  const row = { place, ...DATA.shown[place] };
  DATA.columns.forEach((column, i) => {
    const cell = cells[i];
    row[column.name] = (column.kind === "number" || column.kind === "whole") && cell !== null ? Number(cell === "inf" ? Infinity : cell) : cell;
  });
  row.found = ["id", "prompt", "sketch", "method", "preset", "prior", "trouble", "notes", "status"].map((name) => row[name] || "").join(" ").toLowerCase();
  return row;
});

const isNumber = (column) => column.kind === "number" || column.kind === "whole";
const hasValues = (name) => ROWS.some((row) => row[name] !== null);
const NUMBERS = DATA.columns.filter((column) => isNumber(column) && column.name !== "seed" && hasValues(column.name));
const MEASURES = NUMBERS.filter((column) => column.better || column.name === "moved_share");

// Different values of a column among all rows, in a natural order.
function valuesOf(name) {
  const values = [...new Set(ROWS.map((row) => row[name]).filter((value) => value !== null))];
  return values.sort((a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true })));
}

function shorten(value, column) {
  if (value === null || value === undefined) return "–";
  if (column.kind === "flag") return value ? "yes" : "no";
  if (!isNumber(column)) return value;
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "–∞";
  if (column.kind === "whole") return value.toLocaleString("en").replaceAll(",", "\u202f");
  if (column.unit === "s" && value >= 100) return value < 6000 ? `${(value / 60).toFixed(1)} min` : `${(value / 3600).toFixed(1)} h`;
  const size = Math.abs(value);
  const text = size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : size >= 1 ? value.toFixed(2) : size >= 0.01 ? value.toFixed(3) : size >= 0.0005 ? value.toFixed(4) : value.toExponential(1);
  return size === 0 ? "0" : column.group === "settings" ? String(Number(text)) : text;
}

function withUnit(value, column) {
  const text = shorten(value, column);
  return value === null || column.unit === "1" || !column.unit || / (min|h)$/.test(text) ? text : `${text} ${column.unit}`;
}

// `choices`: column -> value as text; `bounds`: [{name, side, value}]; a row without the number is outside every bound.
function isWanted(row, state) {
  const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  return words.every((word) => row.found.includes(word))
    && Object.entries(state.choices).every(([name, value]) => String(row[name] ?? "") === value)
    && state.bounds.every(({ name, side, value }) => row[name] !== null && (side === "ge" ? row[name] >= value : row[name] <= value));
}

// Rows without a value come last either way.
function inOrder(rows, name, descending) {
  const sign = descending ? -1 : 1;
  const compare = isNumber(COLUMN[name]) ? (a, b) => a - b : (a, b) => String(a).localeCompare(String(b), undefined, { numeric: true });
  return [...rows].sort((a, b) => {
    const [x, y] = [a[name], b[name]];
    if (x === null || y === null) return (x === null) - (y === null) || a.place - b.place;
    return (x === y ? 0 : sign * compare(x, y)) || a.place - b.place;
  });
}

function groupBy(rows, key) {
  const groups = new Map();
  for (const row of rows) {
    const name = key(row);
    groups.set(name, [...(groups.get(name) || []), row]);
  }
  return groups;
}

// Mean and sample standard deviation of a column over rows that have a finite value there; n of them.
function spread(rows, name) {
  const values = rows.map((row) => row[name]).filter((value) => value !== null && Number.isFinite(value));
  const n = values.length;
  const mean = n ? values.reduce((sum, value) => sum + value, 0) / n : null;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  // Equal values whose mean is rounded have no spread.
  const deviation = n > 1 ? (values.every((value) => value === values[0]) ? 0 : Math.sqrt(squares / (n - 1))) : null;
  return { n, mean, deviation, low: Math.min(...values), high: Math.max(...values) };
}
