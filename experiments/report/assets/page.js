"use strict";
(async () => {
  const unpack = (id) => {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  const [library, text] = await Promise.all([unpack("library"), unpack("data")]);
  const plotly = document.createElement("script");
  plotly.textContent = library;
  document.head.append(plotly);
  const data = JSON.parse(text);
  const byId = (id) => document.getElementById(id);
  const contenders = new Map(data.contenders.map((c) => [c.name, c]));
  const tasks = new Map(data.tasks.map((t) => [t.name, t]));
  const suites = { evaluation: "evaluation tasks", development: "development tasks (laws were tuned on these)" };
  const narrow = () => window.innerWidth < 600;
  // Plotly reads a few tags inside its labels; names are to be shown as they are.
  const safe = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const title = (name) => (contenders.get(name) || { title: name }).title;
  const short = (text, length) => (text.length > length ? text.slice(0, length - 1) + "…" : text);
  const twoLines = (text, width) => {
    const words = text.split(" ");
    let first = words.shift();
    while (words.length && `${first} ${words[0]}`.length <= width) first += ` ${words.shift()}`;
    return [first, words.join(" ")].filter(Boolean).map((line) => safe(short(line, width))).join("<br>");
  };
  // Row labels: one line where there is room, two on a phone, never more.
  const rowLabel = (text) => (narrow() ? twoLines(text, 22) : safe(short(text, 44)));
  const rowHeight = () => (narrow() ? 36 : 26);
  const round = (x) => (x === null ? "–" : x.toFixed(2));
  const withInterval = ([v, low, high]) => (low === null ? round(v) + " (no interval)" : `${round(v)} (${round(low)} to ${round(high)})`);

  const element = (tag, content, attributes = {}) => {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (content !== undefined) made.textContent = content;
    return made;
  };
  const fill = (select, options) => {
    for (const [value, text] of options) select.append(element("option", text, { value }));
  };
  const layout = (extra) => ({
    font: { family: "system-ui, 'Liberation Sans', 'DejaVu Sans', sans-serif", size: 13, color: "#1c2430" },
    paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff", hoverlabel: { align: "left" }, ...extra,
  });
  // Named one by one: the default set has a button that sends data to a server.
  const config = () => ({ responsive: true, displaylogo: false, displayModeBar: narrow() ? false : "hover", modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] });
  const nothing = (chart, text) => {
    Plotly.purge(chart);
    chart.replaceChildren(element("p", text, { class: "nothing" }));
    chart.style.minHeight = "0";
    chart.style.height = "";
    chart.dataset.state = "empty";
  };
  const draw = (chart, traces, extra, height) => {
    if (chart.dataset.state === "empty") chart.replaceChildren();
    chart.style.minHeight = "";
    chart.style.height = `${height}px`;
    chart.dataset.state = "drawing";
    return Plotly.react(chart, traces, layout({ ...extra, height }), config()).then(() => { chart.dataset.state = "drawn"; });
  };
  const measureTitle = (measure) => data.measures[measure];
  const verbs = (measure) => (measure.startsWith("quality") ? ["better", "worse"] : ["cheaper", "dearer"]);

  const ratioTicks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50, 100];

  // Ratios -----------------------------------------------------------------------------------------------------------
  const ratioRows = (scope, measure, opponent) => {
    const [kind, name] = [scope.slice(0, scope.indexOf(":")), scope.slice(scope.indexOf(":") + 1)];
    const found = data.ratios[opponent];
    const onTask = (row, task) => row.tasks[task.name] && ({
      name: row.contender, label: title(row.contender), value: row.tasks[task.name][measure], detail: row.tasks[task.name],
      color: contenders.get(row.contender).color,
    });
    if (kind === "suite") {
      return found[name].map((row) => ({
        name: row.contender, label: title(row.contender), value: row.over[measure], missing: row.missing,
        count: Object.keys(row.tasks).length, color: contenders.get(row.contender).color,
      }));
    }
    if (kind === "task") {
      const task = tasks.get(name);
      return found[task.suite].map((row) => onTask(row, task)).filter(Boolean);
    }
    return data.tasks.flatMap((task) => found[task.suite].filter((row) => row.contender === name).map((row) => {
      const made = onTask(row, task);
      return made && { ...made, label: task.title + (task.suite === "development" ? " (development)" : ""), name: task.name };
    })).filter(Boolean);
  };
  const kinds = new Set(data.contenders.map((c) => c.kind));
  const listKinds = () => {
    for (const kind of kinds) {
      const label = element("label");
      const input = element("input", undefined, { type: "checkbox", value: kind });
      input.checked = true;
      input.addEventListener("change", () => { kinds[input.checked ? "add" : "delete"](kind); drawRatios(); });
      label.append(input, kind);
      byId("ratio-kinds").append(label);
    }
  };
  const explain = (row) => {
    const lines = [`<b>${safe(row.label)}</b>`, withInterval(row.value)];
    if (row.detail) {
      const d = row.detail;
      lines.push(`${d.pairs} paired seeds` + (d.unpaired ? `, ${d.unpaired} unpaired left out` : ""));
      lines.push(`reached early, late: ${d.reached.join(", ")}; opponent: ${d.opponentReached.join(", ")}`);
      lines.push(`opponent: ${[...new Set(d.opponent)].map((name) => safe(title(name))).join(", ")}`);
    } else {
      lines.push(`${row.count} tasks` + (row.missing.length ? `, not run on ${row.missing.length}` : ""));
    }
    return lines.join("<br>") + "<extra></extra>";
  };
  const drawRatios = () => {
    const [scope, measure, opponent] = ["ratio-scope", "ratio-measure", "ratio-opponent"].map((id) => byId(id).value);
    const chart = byId("ratio-chart");
    const all = ratioRows(scope, measure, opponent).filter((row) => row.value[0] !== null).sort((a, b) => b.value[0] - a.value[0]);
    // Pairs run on final seeds where they are the best of a task: over other tasks for each, so there is no mean to compare.
    const isPart = (row) => Boolean(row.missing && row.missing.length);
    const isPair = (row) => isPart(row) && contenders.get(row.name).isPair;
    const rows = all.filter((row) => !isPair(row) && (scope.startsWith("contender:") || kinds.has(contenders.get(row.name).kind)));
    const partial = rows.filter(isPart);
    byId("ratio-hint").textContent = [
      partial.length && `Hollow, since over fewer tasks than others: ${partial.map((row) => row.label).join(", ")}.`,
      all.some(isPair) && `Left out: ${all.filter(isPair).length} constant pairs that ran on a part of the tasks.`,
    ].filter(Boolean).join(" ");
    byId("ratio-table").replaceChildren();
    if (!rows.length) return nothing(chart, "No results for this choice.");
    const head = element("tr");
    for (const text of ["", "Ratio", "95 % interval", "Paired seeds or tasks"]) head.append(element("th", text));
    byId("ratio-table").append(head);
    for (const row of [...rows].reverse()) {
      const line = element("tr");
      const interval = row.value[1] === null ? "–" : `${round(row.value[1])} to ${round(row.value[2])}`;
      for (const text of [row.label, round(row.value[0]), interval, String(row.detail ? row.detail.pairs : row.count)]) line.append(element("td", text));
      byId("ratio-table").append(line);
    }
    const trace = {
      type: "scatter", mode: "markers", x: rows.map((r) => r.value[0]), y: rows.map((_, i) => i),
      marker: { size: 11, color: rows.map((r) => (isPart(r) ? "#ffffff" : r.color)), line: { width: 2, color: rows.map((r) => r.color) } },
      error_x: {
        type: "data", symmetric: false, thickness: 2, width: 4, color: "#6c757d",
        array: rows.map((r) => (r.value[2] === null ? 0 : r.value[2] - r.value[0])),
        arrayminus: rows.map((r) => (r.value[1] === null ? 0 : r.value[0] - r.value[1])),
      },
      hovertemplate: rows.map(explain), showlegend: false,
    };
    const ends = rows.flatMap((r) => r.value.filter((x) => x !== null && x > 0)).concat([0.8, 1.25]);
    const range = [Math.log10(Math.min(...ends)) - 0.04, Math.log10(Math.max(...ends)) + 0.04];
    return draw(chart, [trace], {
      margin: { l: 10, r: 16, t: 36, b: 56 },
      xaxis: { type: "log", range, title: { text: narrow() ? "ratio to the opponent" : `${measureTitle(measure)}: ratio to ${safe(short(data.opponents[opponent], 34))}`, standoff: 12 }, gridcolor: "#e6e9ed", zeroline: false, tickvals: ratioTicks, ticktext: ratioTicks.map(String) },
      yaxis: { tickvals: rows.map((_, i) => i), ticktext: rows.map((r) => rowLabel(r.label)), range: [-0.7, rows.length - 0.3], automargin: true, zeroline: false, showgrid: false },
      shapes: [
        { type: "line", xref: "x", x0: 1, x1: 1, yref: "paper", y0: 0, y1: 1, line: { color: "#1c2430", width: 1.5, dash: "dot" } },
      ],
      annotations: [
        { text: `◀ ${verbs(measure)[0]}`, xref: "x", x: 0, xanchor: "right", yref: "paper", y: 1, yanchor: "bottom", showarrow: false, xshift: -8, font: { color: "#56606e" } },
        { text: `${verbs(measure)[1]} ▶`, xref: "x", x: 0, xanchor: "left", yref: "paper", y: 1, yanchor: "bottom", showarrow: false, xshift: 8, font: { color: "#56606e" } },
      ],
    }, 120 + rowHeight() * rows.length);
  };

  // Heat maps --------------------------------------------------------------------------------------------------------
  const drawn = (tag, attributes, content) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (content !== undefined) made.textContent = content;
    return made;
  };
  const tip = element("div", undefined, { id: "tip", hidden: "" });
  document.body.append(tip);
  const tell = (target, text) => {
    target.append(drawn("title", {}, text));
    target.addEventListener("pointerenter", (event) => {
      tip.textContent = text;
      tip.hidden = false;
      tip.style.left = `${Math.max(4, Math.min(event.pageX + 12, document.documentElement.clientWidth - 270))}px`;
      tip.style.top = `${event.pageY + 14}px`;
    });
    target.addEventListener("pointerleave", () => { tip.hidden = true; });
  };
  const shades = ["#081d58", "#253494", "#225ea8", "#1d91c0", "#41b6c4", "#7fcdbb", "#c7e9b4", "#edf8b1", "#ffffd9"];
  const shade = (ratio) => shades[Math.min(shades.length - 1, Math.floor((shades.length * Math.log(ratio)) / Math.log(8)))];
  const edges = (levels) => {
    const between = levels.slice(1).map((level, i) => Math.sqrt(level * levels[i]));
    const ends = levels.length > 1 ? [levels[0] ** 2 / between[0], levels[levels.length - 1] ** 2 / between[between.length - 1]] : [levels[0] / 1.4, levels[0] * 1.4];
    return [ends[0], ...between, ends[1]];
  };
  const heatMap = (task, found, law) => {
    const [width, height, left, bottom] = [240, 236, 28, 30];
    const { numbers, rates } = data.heat;
    const [nEdges, rateEdges] = [edges(numbers), edges(rates)];
    const scale = (from, to, low, high) => (value) => from + ((to - from) * Math.log(value / low)) / Math.log(high / low);
    const [last, floor] = [nEdges[nEdges.length - 1], 0.21];
    const x = scale(left, width - 4, rateEdges[0], rateEdges[rateEdges.length - 1]);
    const y = scale(height - bottom, 4, floor, last);
    const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Heat map of ${task.title}` });
    svg.append(drawn("rect", { x: left, y: 4, width: width - 4 - left, height: height - bottom - 4, fill: "#d5d9de" }));
    for (const [name, n, rate, cost, ratio, reached, runs] of found.cells) {
      const [i, j, missed] = [numbers.indexOf(n), rates.indexOf(rate), 2 * reached < runs];
      const box = { x: x(rateEdges[j]), y: y(nEdges[i + 1]), width: x(rateEdges[j + 1]) - x(rateEdges[j]), height: y(nEdges[i]) - y(nEdges[i + 1]) };
      const cell = drawn("rect", { ...box, fill: missed ? "#fff3d1" : shade(ratio), stroke: "#ffffff", class: "cell" });
      tell(cell, `${title(name)}${name === found.best ? " (best pair)" : ""}\n${missed ? "missed by most runs" : `cost ${Number(cost.toPrecision(3))}, ${ratio.toFixed(2)} times the best pair's`}\nreached by ${reached} of ${runs} runs`);
      svg.append(cell);
      svg.append(drawn("text", { x: x(rate), y: y(n) + 3, class: missed || ratio > 2.4 ? "value pale" : "value" }, missed ? "miss" : ratio < 9.95 ? ratio.toFixed(1) : ratio.toFixed(0)));
      if (name === found.best) svg.append(drawn("rect", { ...box, fill: "none", stroke: "#ffb400", "stroke-width": 2.5, "pointer-events": "none" }));
    }
    for (const n of [0.25, 0.5, ...numbers]) svg.append(drawn("text", { x: left - 4, y: y(n) + 3, "text-anchor": "end" }, String(n)));
    for (const rate of rates) svg.append(drawn("text", { x: x(rate), y: height - bottom + 12, "text-anchor": "middle" }, String(rate)));
    svg.append(drawn("text", { x: (left + width) / 2, y: height - 4, "text-anchor": "middle", class: "axis" }, "critic's rate, times the task's"));
    svg.append(drawn("text", { x: 8, y: (height - bottom) / 2, "text-anchor": "middle", class: "axis", transform: `rotate(-90 8 ${(height - bottom) / 2})` }, "critic updates n"));
    const way = found.paths[law];
    if (way) {
      const points = way.n.map((n, i) => [x(way.rate[i]), y(Math.max(n, floor))]);
      const color = contenders.get(law).color;
      const end = way.arrived === null ? points.length : way.arrived + 1;
      const line = (part, extra) => drawn("polyline", { points: part.map((p) => p.join()).join(" "), fill: "none", "stroke-linejoin": "round", "pointer-events": "none", ...extra });
      svg.append(line(points, { stroke: "#ffffff", "stroke-width": 4 }), line(points.slice(0, end), { stroke: color, "stroke-width": 2.2 }));
      svg.append(line(points.slice(end - 1), { stroke: color, "stroke-width": 1.4, "stroke-dasharray": "1.5 2" }));
      const [first, final] = [points[0], points[points.length - 1]];
      const dots = [drawn("circle", { cx: first[0], cy: first[1], r: 4, fill: "#ffffff" }), drawn("rect", { x: final[0] - 3.5, y: final[1] - 3.5, width: 7, height: 7, fill: color })];
      dots.forEach((dot, i) => {
        const at = i ? way.n.length - 1 : 0;
        dot.setAttribute("stroke", color);
        dot.setAttribute("stroke-width", 2);
        tell(dot, `${title(law)}, ${way.role} seed ${way.seed}: ${i ? "end" : "start"}\nn ${way.n[at].toFixed(2)}, rate x ${way.rate[at].toFixed(2)}`);
        svg.append(dot);
      });
    }
    return svg;
  };
  const drawHeat = () => {
    const [suite, law, box] = [byId("heat-suite").value, byId("heat-path").value, byId("heat-maps")];
    box.replaceChildren();
    for (const task of data.tasks.filter((t) => t.suite === suite && data.heat.tasks[t.name].cells.length)) {
      const figure = element("figure");
      figure.append(element("figcaption", task.title), heatMap(task, data.heat.tasks[task.name], law));
      box.append(figure);
    }
    if (!box.children.length) box.append(element("p", "No constants have run on these tasks.", { class: "nothing" }));
    byId("heat-tip").textContent = law && box.querySelector("polyline") ? "" : "No path: the law chosen has no run on these tasks.";
  };

  // Averages: a table ------------------------------------------------------------------------------------------------
  const columns = Object.entries(data.columns);
  const shown = (key, value) => (value === null ? "–" : data.columns[key].higher ? `${(100 * value).toFixed(0)} %` : value.toFixed(2));
  const outcomes = { won: ["won", "won"], open: ["even", "no difference shown"], lost: ["lost", "lost"] };
  const drawAverages = () => {
    const [suite, opponent, sort] = ["average-suite", "average-opponent", "average-sort"].map((id) => byId(id).value);
    const table = byId("average-table");
    const sign = data.columns[sort] && data.columns[sort].higher ? -1 : 1;
    const rows = [...data.averages[opponent][suite]].sort((a, b) => sign * (a.figures[sort].value[0] - b.figures[sort].value[0]));
    table.replaceChildren();
    byId("average-hint").textContent = "";
    if (!rows.length) {
      const body = element("tbody");
      const line = element("tr");
      line.append(element("td", "No results for this choice.", { class: "nothing" }));
      body.append(line);
      table.append(body);
      table.dataset.state = "empty";
      return;
    }
    const head = element("thead");
    const names = element("tr");
    names.append(element("th", "Contender"), element("th", "Tasks, paired seeds"));
    for (const [key, column] of columns) names.append(element("th", column.title, { title: column.meaning, "aria-sort": key === sort ? (column.higher ? "descending" : "ascending") : "none" }));
    head.append(names);
    const body = element("tbody");
    for (const row of rows) {
      const line = element("tr");
      const [low, high] = row.pairs;
      const count = element("td", `${row.tasks} ${row.tasks === 1 ? "task" : "tasks"}`, { "data-label": "Tasks, paired seeds" });
      count.append(element("small", `${low === high ? low : `${low} to ${high}`} ${high === 1 ? "seed" : "seeds"} each` + (row.unpaired ? `, ${row.unpaired} unpaired left out` : "") + (row.missing ? `; not run on ${row.missing}` : "")));
      line.append(element("td", title(row.contender)), count);
      for (const [key, column] of columns) {
        const { value: [value, from, to], outcome } = row.figures[key];
        const cell = element("td", undefined, { "data-label": column.title, title: `${outcomes[outcome][1]}. ${column.meaning}` });
        cell.append(element("span", shown(key, value), { class: `outcome ${outcomes[outcome][0]}` }));
        cell.append(element("small", from === null ? "no interval" : `${shown(key, from)} to ${shown(key, to)}`));
        line.append(cell);
      }
      body.append(line);
    }
    table.append(head, body);
    byId("average-hint").textContent = [
      rows.some((row) => row.pairs[0] === 1) && "No interval where any task has a single paired seed: one run shows no spread.",
      rows.some((row) => row.pairs[0] > 1 && row.pairs[0] < 5) && "Intervals from fewer than five paired seeds a task are narrower than they should be: a bootstrap of so few runs misses a part of the spread.",
    ].filter(Boolean).join(" ");
    table.dataset.state = "drawn";
  };

  // Wins, nulls, losses ----------------------------------------------------------------------------------------------
  const drawTally = () => {
    const [suite, measure, opponent] = ["tally-suite", "tally-measure", "tally-opponent"].map((id) => byId(id).value);
    const chart = byId("tally-chart");
    const all = data.tasks.filter((t) => t.suite === suite).map((t) => t.name);
    const whole = data.ratios[opponent][suite].filter((row) => !(contenders.get(row.contender).isPair && row.missing.length));
    const rows = whole.map((row) => {
      const sorted = { won: [], same: [], lost: [], none: [] };
      for (const name of all) {
        const cell = row.tasks[name];
        const [, low, high] = cell ? cell[measure] : [];
        const into = !cell ? "none" : high !== null && high < 1 ? "won" : low !== null && low > 1 ? "lost" : "same";
        sorted[into].push(safe(tasks.get(name).title));
      }
      return { label: title(row.contender), ...sorted };
    }).sort((a, b) => a.won.length - a.lost.length - (b.won.length - b.lost.length));
    if (!rows.length) return nothing(chart, "No results for this choice.");
    const kinds = [["won", "won", "#2a78b8"], ["same", "no difference shown", "#b9c1ca"], ["lost", "lost", "#d6400c"], ["none", "not run", "#eceff2"]];
    const traces = kinds.map(([key, name, color]) => ({
      type: "bar", orientation: "h", name, marker: { color, line: { color: "#ffffff", width: 1 } }, y: rows.map((_, i) => i), x: rows.map((r) => r[key].length),
      text: rows.map((r) => (r[key].length ? String(r[key].length) : "")), textposition: "inside", insidetextanchor: "middle", textangle: 0,
      hovertemplate: rows.map((r) => `<b>${safe(r.label)}</b><br>${name}: ${r[key].join("<br>") || "none"}<extra></extra>`),
    })).filter((t) => t.name !== "not run" || t.x.some((x) => x > 0));
    return draw(chart, traces, {
      barmode: "stack", margin: { l: 10, r: 16, t: 44, b: 48 }, legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", traceorder: "normal" },
      xaxis: { title: { text: "tasks", standoff: 12 }, dtick: all.length > 12 ? 2 : 1, gridcolor: "#e6e9ed", zeroline: false },
      yaxis: { tickvals: rows.map((_, i) => i), ticktext: rows.map((r) => rowLabel(r.label)), automargin: true },
    }, 130 + rowHeight() * rows.length);
  };

  // A logarithmic axis with 1, 2, 5 and their decades as plain numbers.
  const values = [-6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6].flatMap((power) => [1, 2, 5].map((digit) => Number(`${digit}e${power}`)));
  const decades = { tickvals: values, ticktext: values.map(String) };

  // Runs -------------------------------------------------------------------------------------------------------------
  const chosen = new Set();
  const swatch = (c) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    svg.setAttribute("width", 22); svg.setAttribute("height", 8); svg.setAttribute("aria-hidden", "true");
    const dashes = { solid: "", dash: "6 3", dot: "2 3", dashdot: "6 3 2 3", longdash: "10 2", longdashdot: "9 2 2 2" };
    for (const [key, value] of Object.entries({ x1: 0, x2: 22, y1: 4, y2: 4, stroke: c.color, "stroke-width": 3, "stroke-dasharray": dashes[c.dash] })) line.setAttribute(key, value);
    svg.append(line);
    return svg;
  };
  const listContenders = () => {
    const task = tasks.get(byId("explore-task").value);
    const box = byId("explore-contenders");
    box.querySelectorAll("label").forEach((label) => label.remove());
    const absent = data.contenders.filter((c) => !(task && task.series[c.name]));
    byId("explore-absent").hidden = !absent.length;
    byId("explore-absent").querySelector("summary").textContent = `Not run on this task: ${absent.length}`;
    byId("explore-absent").querySelector("p").textContent = absent.map((c) => c.title).join("; ");
    for (const c of data.contenders.filter((c) => !absent.includes(c))) {
      const label = element("label");
      const input = element("input", undefined, { type: "checkbox", value: c.name });
      input.checked = chosen.has(c.name);
      input.addEventListener("change", () => { chosen[input.checked ? "add" : "delete"](c.name); drawRuns(); });
      label.append(input, swatch(c), c.title);
      box.append(label);
    }
  };
  const faded = (color) => color + "26";
  const lines = (grid, band, c, axis, runs, unit, legend) => {
    const whole = grid.map((_, i) => i).filter((i) => band[1][i] !== null && band[2][i] !== null);
    const shade = {
      type: "scatter", mode: "lines", x: [...whole.map((i) => grid[i]), ...whole.map((i) => grid[i]).reverse()],
      y: [...whole.map((i) => band[2][i]), ...whole.map((i) => band[1][i]).reverse()], fill: "toself", fillcolor: faded(c.color),
      line: { width: 0 }, hoverinfo: "skip", showlegend: false, legendgroup: c.name, yaxis: axis, xaxis: "x",
    };
    const line = {
      type: "scatter", mode: "lines", name: safe(c.title), x: grid, y: band[0], line: { color: c.color, dash: c.dash, width: c.width },
      legendgroup: c.name, showlegend: legend, yaxis: axis, xaxis: "x", connectgaps: false,
      customdata: grid.map((_, i) => [band[1][i], band[2][i]]),
      hovertemplate: `<b>${safe(short(c.title, 34))}</b><br>cost %{x:.4~g}: ${unit} %{y:.3~g}<br>quartiles %{customdata[0]:.3~g} to %{customdata[1]:.3~g}, ${runs} runs<extra></extra>`,
    };
    return [shade, line];
  };
  const drawRuns = () => {
    const chart = byId("explore-chart");
    const task = tasks.get(byId("explore-task").value);
    byId("explore-note").textContent = "";
    if (!task || !Object.keys(task.series).length) return nothing(chart, "No final runs of this task yet.");
    const shown = data.contenders.filter((c) => chosen.has(c.name) && task.series[c.name]);
    if (!shown.length) return nothing(chart, "Pick at least one contender above.");
    const withSignal = byId("explore-signal").checked;
    const withAverage = byId("explore-average").checked;
    const withRate = shown.some((c) => task.series[c.name].rate);
    const best = task.best.map(title).join(", ");
    const counts = shown.map((c) => task.series[c.name].runs);
    const uneven = Math.min(...counts) < Math.max(...counts) && `Runs differ in number: ${shown.map((c, i) => `${c.title}: ${counts[i]}`).join(", ")}`;
    byId("explore-note").textContent = [task.note.replace(/[.\s]+$/, ""), best && `Best constants on tuning seeds: ${best}`, uneven].filter(Boolean).map((text) => `${text}.`).join(" ");
    const traces = [];
    for (const c of shown) {
      const series = task.series[c.name];
      if (series.n) traces.push(...lines(task.grid, series.n, c, "y2", series.runs, "n", true));
      if (series.quality) traces.push(...lines(task.grid, series.quality, c, "y", series.runs, safe(task.metric), !series.n));
      if (withRate) traces.push(...lines(task.grid, series.rate || [1, 1, 1].map((one) => task.grid.map(() => one)), c, "y4", series.runs, "rate x", false));
      if (withAverage && series.ema_quality) traces.push({ ...lines(task.grid, series.ema_quality, c, "y", series.runs, `averaged generator, ${safe(task.metric)}`, false)[1], line: { color: c.color, width: 1, dash: c.dash } });
      if (withSignal && series.signal) traces.push(...lines(task.grid, series.signal, c, "y3", series.runs, "signal", false));
    }
    const level = (y, text, color, side) => ([
      { type: "line", xref: "paper", x0: 0, x1: 1, yref: "y", y0: y, y1: y, line: { color, width: 1.2, dash: "dot" } }, text, y, side,
    ]);
    const levels = Object.entries(task.targets).map(([name, y]) => level(y, `${name} target`, "#1c2430", "right"));
    // On the other side: it may lie close to the late target.
    if (task.floor !== null) levels.push(level(task.floor, "two true samples", "#8a94a0", "left"));
    const axis = byId("explore-axis").value;
    // A schedule that starts with n = 100 would press all others flat against the axis.
    const steps = shown.flatMap((c) => (task.series[c.name].n || [[]])[0]).filter((n) => n !== null);
    const wide = Math.max(...steps) >= 30 && Math.min(...steps) > 0;
    const common = { gridcolor: "#e6e9ed", zeroline: false, automargin: true };
    // From the bottom: quality, signal, rate, n; what is not shown takes no room.
    const [above, gap] = [1 + withSignal + withRate, 0.05];
    const part = (1 - (above > 1 ? 0.46 : 0.6)) / above;
    const domain = (k) => [1 - k * part + gap, 1 - (k - 1) * part];
    const domains = [[0, 1 - above * part], domain(1), domain(above), domain(2)];
    const extra = {
      margin: { l: 10, r: 16, t: 20, b: 56 }, hovermode: "closest",
      showlegend: !narrow(), legend: { x: 1.01, y: 1 },
      xaxis: { ...common, title: { text: "cost, in generator updates", standoff: 12 }, anchor: "y", rangemode: "tozero" },
      yaxis: { ...common, type: axis, domain: domains[0], title: { text: `${twoLines(task.metric, 26)}<br>(lower is better)` }, ...(axis === "log" ? decades : {}) },
      yaxis2: { ...common, domain: domains[1], title: { text: "critic updates n" }, ...(wide ? { type: "log", ...decades } : { type: "linear", rangemode: "tozero" }) },
      shapes: levels.map(([shape]) => shape),
      annotations: levels.map(([, text, y, side]) => ({ text, xref: "paper", x: side === "right" ? 1 : 0, xanchor: side, bgcolor: "#ffffffcc", borderpad: 1, yref: "y", y: axis === "log" ? Math.log10(y) : y, yanchor: "bottom", showarrow: false, font: { size: 11, color: "#56606e" } })),
    };
    if (withRate) extra.yaxis4 = { ...common, domain: domains[3], type: "log", tickvals: [0.25, 0.5, 1, 2, 4, 8, 16, 32], title: { text: "rate x" } };
    if (withSignal) extra.yaxis3 = { ...common, domain: domains[2], title: { text: "signal" } };
    return draw(chart, traces, extra, (narrow() ? 520 : 560) + 140 * (withSignal + withRate));
  };

  // Profiles ---------------------------------------------------------------------------------------------------------
  const drawProfiles = () => {
    const profile = data.profiles[byId("profile-suite").value];
    const chart = byId("profile-chart");
    const ends = [...new Set([profile.seeds[0], profile.seeds[profile.seeds.length - 1]])];
    byId("profile-note").textContent = [
      profile.seeds.length && `${profile.problems} problems, ${ends.join(" to ")} common ${ends[0] === 1 && ends.length === 1 ? "seed" : "seeds"} per task.`,
      profile.excluded.length && `Left out, since not run on every task and seed: ${profile.excluded.map(title).join(", ")}.`,
      profile.skipped.length && `Left out, since no seed is common to all: ${profile.skipped.map((name) => tasks.get(name).title).join(", ")}.`,
    ].filter(Boolean).join(" ");
    if (!Object.keys(profile.shares).length) return nothing(chart, "No contender has runs on every task of this choice.");
    const traces = data.contenders.filter((c) => profile.shares[c.name]).map((c) => ({
      type: "scatter", mode: "lines", name: safe(c.title), x: profile.factors, y: profile.shares[c.name], line: { color: c.color, dash: c.dash, width: c.width, shape: "hv" },
      hovertemplate: `<b>${safe(short(c.title, 34))}</b><br>within %{x:.3~g} times the cheapest: %{y:.0%} of ${profile.problems} problems<extra></extra>`,
    }));
    return draw(chart, traces, {
      margin: { l: 10, r: 16, t: 16, b: 56 }, hovermode: "closest",
      legend: narrow() ? { orientation: "h", x: 0, y: -0.18, yanchor: "top" } : { x: 1.01, y: 1 },
      xaxis: { type: "log", title: { text: narrow() ? "factor of the cheapest cost" : "factor of the cheapest contender's cost", standoff: 12 }, tickvals: [1, 1.5, 2, 3, 5, 10], ticktext: ["1", "1.5", "2", "3", "5", "10"], gridcolor: "#e6e9ed" },
      yaxis: { tickformat: ".0%", range: [-0.02, 1.02], gridcolor: "#e6e9ed", automargin: true, zeroline: false, title: { text: "share of problems" } },
    }, narrow() ? 420 + 22 * traces.length : 500);
  };

  // Samples ----------------------------------------------------------------------------------------------------------
  const scatter = (points, extent) => {
    const canvas = element("canvas", undefined, { width: 360, height: 360 });
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#175c96";
    pen.globalAlpha = 0.5;
    for (const [x, y] of points) {
      if (x === null || y === null) continue;
      pen.beginPath();
      pen.arc(18 + (324 * (x - extent.x)) / extent.size, 342 - (324 * (y - extent.y)) / extent.size, 2.6, 0, 2 * Math.PI);
      pen.fill();
    }
    return canvas;
  };
  // A few runaway points must not squeeze everyone else's samples into a dot: the middle 98 % set the frame.
  const frame = (points) => {
    const ends = [0, 1].map((k) => {
      const values = points.map((p) => p[k]).filter((v) => v !== null).sort((a, b) => a - b);
      return [values[Math.floor(0.01 * values.length)] || 0, values[Math.ceil(0.99 * values.length) - 1] || 0];
    });
    const size = Math.max(ends[0][1] - ends[0][0], ends[1][1] - ends[1][0], 1e-9) * 1.1;
    return { x: (ends[0][0] + ends[0][1] - size) / 2, y: (ends[1][0] + ends[1][1] - size) / 2, size };
  };
  const drawSamples = () => {
    const box = byId("sample-grid");
    box.replaceChildren();
    const task = tasks.get(byId("sample-task").value);
    const found = task ? data.contenders.filter((c) => task.samples[c.name]) : [];
    if (!found.length) box.append(element("p", "No samples were kept for this task.", { class: "nothing" }));
    const extent = frame(found.map((c) => task.samples[c.name]).filter((s) => s.kind === "points").flatMap((s) => s.data));
    for (const c of found) {
      const sample = task.samples[c.name];
      const figure = element("figure");
      const text = `${c.title}, seed ${sample.seed}`;
      const picture = sample.kind === "points" ? scatter(sample.data, extent) : element("img", undefined, { src: `data:image/png;base64,${sample.data}`, alt: `Samples of ${text}`, loading: "lazy" });
      if (sample.kind === "points") { picture.setAttribute("role", "img"); picture.setAttribute("aria-label", `Samples of ${text}`); }
      figure.append(picture, element("figcaption", text));
      box.append(figure);
    }
    box.dataset.state = "drawn";
  };

  // Filters ----------------------------------------------------------------------------------------------------------
  const grouped = (select, groups) => {
    for (const [label, options] of groups) {
      const group = element("optgroup", undefined, { label });
      fill(group, options);
      if (options.length) select.append(group);
    }
  };
  const suiteOptions = Object.entries(suites);
  const taskOptions = (suite) => data.tasks.filter((t) => t.suite === suite).map((t) => [t.name, t.title]);
  const taskGroups = [["Evaluation", taskOptions("evaluation")], ["Development", taskOptions("development")]];
  grouped(byId("ratio-scope"), [
    ["All contenders, mean over", suiteOptions.map(([name, text]) => [`suite:${name}`, text])],
    ["One contender on every task", data.contenders.map((c) => [`contender:${c.name}`, c.title])],
    ["All contenders on one task", data.tasks.map((t) => [`task:${t.name}`, t.title])],
  ]);
  for (const id of ["ratio-measure", "tally-measure"]) fill(byId(id), Object.entries(data.measures));
  for (const id of ["ratio-opponent", "tally-opponent"]) fill(byId(id), Object.entries(data.opponents));
  fill(byId("average-opponent"), Object.entries(data.averageOpponents));
  fill(byId("average-sort"), columns.map(([key, column]) => [key, column.title]));
  fill(byId("heat-path"), data.contenders.filter((c) => Object.values(data.heat.tasks).some((t) => t.paths[c.name])).map((c) => [c.name, c.title]));
  if (contenders.has(data.effort) && byId("heat-path").querySelector(`option[value="${CSS.escape(data.effort)}"]`)) byId("heat-path").value = data.effort;
  for (const id of ["heat-suite", "heat-path"]) byId(id).addEventListener("change", drawHeat);
  for (const id of ["tally-suite", "profile-suite", "average-suite", "heat-suite"]) fill(byId(id), suiteOptions);
  for (const id of ["explore-task", "sample-task"]) grouped(byId(id), taskGroups);
  const withSamples = data.tasks.find((t) => Object.keys(t.samples).length);
  if (withSamples) byId("sample-task").value = withSamples.name;

  const evaluated = data.tasks.filter((t) => t.suite === "evaluation");
  const first = [...evaluated, ...data.tasks].find((t) => Object.keys(t.series).length) || evaluated[0] || data.tasks[0];
  if (first) byId("explore-task").value = first.name;
  const five = data.contenders.find((c) => c.title === "n = 5");
  for (const name of [data.effort, data.gap, contenders.has(data.effort) ? null : data.reference, five && five.name, ...(first ? first.best : [])]) if (contenders.has(name)) chosen.add(name);
  if (!chosen.size) data.contenders.slice(0, 3).forEach((c) => chosen.add(c.name));

  for (const id of ["ratio-scope", "ratio-measure", "ratio-opponent"]) byId(id).addEventListener("change", drawRatios);
  for (const id of ["tally-suite", "tally-measure", "tally-opponent"]) byId(id).addEventListener("change", drawTally);
  for (const id of ["average-suite", "average-opponent", "average-sort"]) byId(id).addEventListener("change", drawAverages);
  byId("explore-task").addEventListener("change", () => { listContenders(); drawRuns(); });
  for (const id of ["explore-axis", "explore-signal", "explore-average"]) byId(id).addEventListener("change", drawRuns);
  byId("profile-suite").addEventListener("change", drawProfiles);
  byId("sample-task").addEventListener("change", drawSamples);

  listContenders();
  listKinds();
  drawHeat();
  drawAverages();
  const all = () => Promise.all([drawRatios(), drawTally(), drawRuns(), drawProfiles()]);
  drawSamples();
  let wide = narrow();
  window.addEventListener("resize", () => { if (narrow() !== wide) { wide = narrow(); all(); } });
  await all();
  document.body.dataset.ready = "yes";
})().catch((error) => {
  document.querySelector("header").append(`The charts need a browser of 2023 or later (${error}).`);
  throw error;
});
