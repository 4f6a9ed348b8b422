/* Draws the charts of a report: themes through CSS, tips on hover and tap, zoom by buttons, wheel with Ctrl, or pinch. */
(() => {
  "use strict";
  const stored = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = stored("figures");
  const views = new Map();

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  tip.hidden = true;
  document.body.append(tip);

  const hideTip = () => { tip.hidden = true; };

  function showTip(handler, event, item, value) {
    if (value === null || value === undefined || typeof value !== "object") { hideTip(); return; }
    const list = document.createElement("dl");
    for (const [name, text] of Object.entries(value)) {
      if (text === null || text === "" || text === "null" || text === "undefined") continue;
      const term = document.createElement("dt"), detail = document.createElement("dd");
      term.textContent = name;
      detail.textContent = text;
      list.append(term, detail);
    }
    tip.replaceChildren(list);
    tip.hidden = false;
    const point = event.touches ? event.touches[0] || event.changedTouches[0] : event;
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    const below = point.clientY + 16 + tip.offsetHeight < window.innerHeight;
    tip.style.left = Math.max(8, Math.min(point.clientX + 14, room)) + "px";
    tip.style.top = (below ? point.clientY + 16 : Math.max(8, point.clientY - tip.offsetHeight - 12)) + "px";
  }

  async function draw(name, form) {
    const box = document.getElementById("chart-" + name);
    const figure = figures[name];
    const spec = { ...figure.forms[form], datasets: { rows: figure.data } };
    if (views.has(name)) views.get(name).finalize();
    const { view, finalize } = await vegaEmbed(box, spec, {
      mode: "vega-lite", renderer: "svg", actions: false, defaultStyle: false, hover: true, tooltip: showTip,
    });
    views.set(name, { view, finalize, zoom: spec.usermeta.zoom });
    box.dataset.drawn = form;
  }

  function zoom(name, factor) {
    const { view, zoom: fields } = views.get(name);
    ["x", "y"].forEach((channel, k) => {
      const signal = "zoom_" + fields[k];
      if (factor === 0) { view.signal(signal, null); return; }
      const scale = view.scale(channel);
      const log = scale.type === "log";
      const [low, high] = scale.domain().map(log ? Math.log : Number);
      const middle = (low + high) / 2, half = (high - low) / 2 * factor;
      view.signal(signal, [middle - half, middle + half].map(log ? Math.exp : Number));
    });
    view.runAsync();
  }

  for (const button of document.querySelectorAll("button[data-zoom]")) {
    button.addEventListener("click", () => zoom(button.dataset.figure, Number(button.dataset.zoom)));
  }
  for (const input of document.querySelectorAll("input[data-figure]")) {
    input.addEventListener("change", () => { if (input.checked) draw(input.dataset.figure, input.value); });
  }
  document.addEventListener("scroll", hideTip, { passive: true, capture: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });

  const download = document.getElementById("download");
  if (download) {
    download.addEventListener("click", () => {
      const text = JSON.stringify(stored("record"), null, 2) + "\n";
      download.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
      setTimeout(() => URL.revokeObjectURL(download.href), 10000);
    });
  }

  Promise.all(Object.keys(figures).map((name) => {
    const chosen = document.querySelector(`input[data-figure="${name}"]:checked`);
    return draw(name, chosen ? chosen.value : Object.keys(figures[name].forms)[0]);
  })).then(() => { document.documentElement.dataset.ready = "yes"; });
})();
