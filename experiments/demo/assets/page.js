"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const hidden = new Set();
  const shown = () => data.contenders.filter((c) => !hidden.has(c.name));
  const narrow = () => window.innerWidth < 600;
  const thousands = (x) => Math.round(x).toLocaleString("en-US");
  const grid = "#e6e9ed";
  const values = [-6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6].flatMap((power) => [1, 2, 5].map((digit) => Number(`${digit}e${power}`)));
  const decades = { type: "log", tickvals: values, ticktext: values.map(String) };
  const spent = () => ({ title: { text: "compute spent, in generator updates", standoff: 8 }, rangemode: "tozero", gridcolor: grid, zeroline: false, nticks: narrow() ? 4 : 8, hoverformat: ",.0f", tickformat: ",.0f" });

  const draw = (chart, traces, extra, height) => {
    chart.style.minHeight = "0";
    return Plotly.react(chart, traces, {
      font: { family: "system-ui, 'Liberation Sans', 'DejaVu Sans', sans-serif", size: 13, color: "#1c2430" },
      margin: { l: 56, r: 12, t: 8, b: 48 }, showlegend: false, hovermode: "x unified", height, ...extra,
    }, { responsive: true, displaylogo: false, displayModeBar: narrow() ? false : "hover", modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] });
  };

  const drawMeasured = (chart) => {
    const title = chart.dataset.measured;
    const log = title === data.quality;
    const traces = shown().map((c) => ({
      type: "scatter", mode: "lines+markers", name: c.title, x: c.cost, y: c.measured[title], line: { color: c.color, width: 2 }, marker: { size: 5 }, hovertemplate: "%{y:.3g}",
    }));
    const extra = { xaxis: spent(), yaxis: { gridcolor: grid, zeroline: false, ...(log ? decades : { rangemode: "tozero" }) } };
    if (log && data.goal.value !== null) {
      extra.shapes = [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: data.goal.value, y1: data.goal.value, line: { color: "#56606e", dash: "dot", width: 1.5 } }];
      extra.annotations = [{ text: data.goal.what, xref: "paper", x: 1, xanchor: "right", y: Math.log10(data.goal.value), yanchor: "bottom", showarrow: false, bgcolor: "#ffffffcc", font: { size: 12, color: "#56606e" } }];
    }
    return draw(chart, traces, extra, 340);
  };

  const drawCurve = (chart) => {
    const title = chart.dataset.curve;
    const traces = shown().filter((c) => c.curves[title][0].length).flatMap((c) => {
      const [cost, mean, low, high] = c.curves[title];
      return [
        { type: "scatter", mode: "lines", x: [...cost, ...[...cost].reverse()], y: [...high, ...[...low].reverse()], fill: "toself", fillcolor: `${c.color}26`, line: { width: 0 }, hoverinfo: "skip" },
        { type: "scatter", mode: "lines", name: c.title, x: cost, y: mean, line: { color: c.color, width: 2 }, customdata: cost.map((_, i) => [low[i], high[i]]), hovertemplate: "%{y:.3g} (%{customdata[0]:.3g} to %{customdata[1]:.3g})" },
      ];
    });
    return draw(chart, traces, { xaxis: spent(), yaxis: { gridcolor: grid, zeroline: false, ...(data.logarithmic.includes(title) ? decades : {}) } }, 300);
  };

  const drawReached = () => {
    const rows = shown().reverse();
    const most = Math.max(...data.contenders.flatMap((c) => c.cost));
    const bars = {
      type: "bar", orientation: "h", x: rows.map((c) => c.reached ?? 0), y: rows.map((c) => c.title), marker: { color: rows.map((c) => c.color) },
      text: rows.map((c) => (c.reached === null ? "never reached" : thousands(c.reached))), textposition: "outside", cliponaxis: false, hoverinfo: "skip",
    };
    return draw(byId("reached"), [bars], { hovermode: false, xaxis: { ...spent(), range: [0, 1.2 * most] }, yaxis: { automargin: true }, margin: { l: 8, r: 12, t: 8, b: 48 } }, 340);
  };

  const pictures = new Map();
  const makePicture = (name, color) => {
    const [figure, caption, image] = ["figure", "figcaption", "img"].map((tag) => document.createElement(tag));
    figure.style.borderColor = color;
    figure.append(image, caption);
    byId("grids").append(figure);
    pictures.set(name, { figure, caption, image });
  };
  const show = (name, png, text) => {
    const { caption, image } = pictures.get(name);
    image.src = `data:image/png;base64,${png}`;
    image.alt = `36 images: ${text}`;
    caption.textContent = text;
  };
  const drawSamples = () => {
    const at = Number(byId("moment").value);
    const most = Number(byId("moment").max);
    byId("moment-text").textContent = `${thousands(data.contenders[0].cost[at])} generator updates' worth (${Math.round((100 * at) / most)} %)`;
    for (const c of data.contenders) {
      const measured = c.measured[data.quality][at];
      pictures.get(c.name).figure.hidden = hidden.has(c.name);
      show(c.name, c.samples[at], `${c.title}: ${measured === null ? "diverged" : measured.toPrecision(3)}`);
    }
  };

  const drawCharts = () => Promise.all([
    ...[...document.querySelectorAll("[data-measured]")].map(drawMeasured), ...[...document.querySelectorAll("[data-curve]")].map(drawCurve), drawReached(),
  ]);
  const drawAll = () => {
    document.querySelectorAll("tr[data-contender]").forEach((row) => { row.hidden = hidden.has(row.dataset.contender); });
    drawSamples();
    return drawCharts();
  };
  for (const c of data.contenders) makePicture(c.name, c.color);
  makePicture("real", "#444444");
  show("real", data.real, "real images");
  byId("contenders").addEventListener("change", ({ target }) => { hidden[target.checked ? "delete" : "add"](target.value); drawAll(); });
  byId("moment").addEventListener("input", drawSamples);
  let wide = narrow();
  window.addEventListener("resize", () => { if (narrow() !== wide) { wide = narrow(); drawCharts(); } });
  drawAll().then(() => { document.body.dataset.ready = "yes"; });
})();
