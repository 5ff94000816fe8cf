"""The script of the page for people: it sends the form, and draws the answer."""

SCRIPT = """
"use strict";
const form = document.forms[0], answer = document.getElementById("answer");
const why = document.getElementById("why"), groups = JSON.parse(form.dataset.targets);
const MOST = 12;

function made(tag, kind, text) {
  const one = document.createElement(tag);
  if (kind) one.className = kind;
  if (text !== undefined) one.textContent = text;
  return one;
}

function number(value) {
  return typeof value === "number" ? String(Number(value.toPrecision(4))) : value;
}

function bar(name, value) {
  const row = made("div", "bar"), room = made("span", "room"), filled = made("i");
  filled.style.width = `${100 * Math.min(1, Math.max(0, value))}%`;
  room.append(filled);
  const label = made("span", "name", name);
  label.title = name;
  row.append(label, room, made("span", "number", value.toFixed(3)));
  return row;
}

function group(target, row) {
  const part = made("section"), bars = [];
  if (target.name) part.append(made("h2", "", target.name));
  for (const [column, value] of Object.entries(row)) {
    if (!column.startsWith(target.prefix)) continue;
    const name = column.slice(target.prefix.length);
    if (target.classes.includes(name)) {
      if (value !== null) bars.push([name, value]);
      continue;
    }
    const shown = Array.isArray(value) ? value.map(number).join(", ") || "none" : number(value);
    const fact = made("p", "fact");
    fact.append(made("span", "name", name), made("strong", "", shown));
    part.append(fact);
  }
  bars.sort((one, other) => other[1] - one[1]);
  bars.slice(0, MOST).forEach(([name, value]) => part.append(bar(name, value)));
  if (bars.length > MOST) part.append(made("p", "", `and ${bars.length - MOST} more`));
  return part;
}

function problem(text) {
  answer.replaceChildren(made("p", "bad", text));
}

async function predict() {
  const sent = new FormData(form);
  try {
    const response = await fetch("predict", {method: "POST", body: sent});
    const found = await response.json();
    const row = response.ok ? found.rows[0] : found;
    if (Object.keys(row).length === 1 && typeof row.error === "string") return problem(row.error);
    answer.replaceChildren(...groups.map(target => group(target, row)));
  } catch (error) {
    problem(`There was no answer: ${error.message}`);
  }
}

form.addEventListener("submit", async event => {
  if (event.submitter && event.submitter.hasAttribute("formaction")) {
    why.hidden = false;
    return;
  }
  event.preventDefault();
  answer.setAttribute("aria-busy", "true");
  await predict();
  answer.removeAttribute("aria-busy");
});

if (why) why.addEventListener("load", () => {
  const inside = why.contentDocument && why.contentDocument.documentElement;
  if (inside) why.style.height = `${inside.scrollHeight}px`;
});

for (const zone of document.querySelectorAll(".drop")) {
  const input = zone.querySelector("input"), shown = zone.querySelector(".shown");
  const show = () => {
    for (const old of shown.children) URL.revokeObjectURL(old.src);
    shown.replaceChildren(...Array.from(input.files, file => {
      const one = made("img");
      one.alt = file.name;
      one.src = URL.createObjectURL(file);
      return one;
    }));
  };
  input.addEventListener("change", show);
  for (const kind of ["dragover", "dragleave", "drop"]) zone.addEventListener(kind, event => {
    event.preventDefault();
    zone.classList.toggle("over", kind === "dragover");
    if (kind !== "drop" || !event.dataTransfer.files.length) return;
    const files = new DataTransfer();
    const given = Array.from(event.dataTransfer.files);
    for (const file of input.multiple ? given : given.slice(0, 1)) files.items.add(file);
    input.files = files.files;
    show();
  });
}
"""
