"use strict";
// Draws the charts once the page can be read, and makes the copy buttons work. Without it the report is complete.
(() => {
  const root = document.documentElement;
  const settings = { displayModeBar: false, displaylogo: false, responsive: true, showTips: false };

  // Charts ---------------------------------------------------------------------------------------------------------

  // Colours are named by CSS variable, so that one stylesheet holds both themes.
  const themed = (value, key) => {
    if (Array.isArray(value)) return value.map((item) => themed(item, key));
    if (value !== null && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, themed(item, name)]));
    }
    const named = /colou?rs?$/i.test(key) && typeof value === "string" && /^var\((--[a-z0-9-]+)\)$/.exec(value);
    return named ? getComputedStyle(root).getPropertyValue(named[1]).trim() : value;
  };

  const axis = {
    gridcolor: "var(--line)", linecolor: "var(--line)", zerolinecolor: "var(--line)",
    tickfont: { color: "var(--muted)" }, title: { font: { color: "var(--muted)", size: 12 } },
  };
  const base = {
    font: { family: "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif", size: 12, color: "var(--ink)" },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: { bgcolor: "var(--card)", bordercolor: "var(--line)", font: { color: "var(--ink)", size: 12 } },
    xaxis: axis, yaxis: axis, autosize: true, separators: ".,",
  };
  const merged = (under, over) => {
    const out = { ...under };
    for (const [key, value] of Object.entries(over)) {
      const both = value !== null && typeof value === "object" && !Array.isArray(value) && typeof out[key] === "object";
      out[key] = both ? merged(out[key], value) : value;
    }
    return out;
  };

  const unpack = async (packed) => {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };

  const drawAll = (figures, size) => {
    for (const chart of document.querySelectorAll(".chart")) {
      const figure = figures[chart.dataset.figure];
      const layout = themed(merged(base, figure.layout), "");
      window.Plotly.react(chart, themed(figure.data, ""), { ...layout, ...size }, settings);
      chart.classList.add("drawn");
    }
  };

  const charts = async () => {
    const packed = document.getElementById("plotly");
    if (!packed) return;
    try {
      const figures = JSON.parse(document.getElementById("figures").textContent);
      const script = document.createElement("script");
      script.textContent = await unpack(packed.textContent.trim());
      document.head.append(script);
      if (!window.Plotly) throw new Error("the chart library did not start");
      drawAll(figures, {});
      // A click would zoom into one part, and the way back is not to be seen.
      document.querySelector(".chart-time")?.on("plotly_icicleclick", () => false);
      const redraw = () => drawAll(figures, {});
      window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
      // Paper is white and narrow.
      window.addEventListener("beforeprint", () => {
        root.dataset.theme = "light";
        drawAll(figures, { width: 612, autosize: false });
      });
      window.addEventListener("afterprint", () => {
        delete root.dataset.theme;
        redraw();
      });
      root.dataset.charts = "drawn";
    } catch (error) {
      root.dataset.charts = "failed";
      console.warn("slowprobe: charts are not drawn:", error.message);
    }
  };

  // Copying --------------------------------------------------------------------------------------------------------

  const copied = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  };
  for (const button of document.querySelectorAll("button[data-copies]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copies);
      const text = [...source.querySelectorAll("[data-line]")].map((line) => line.textContent).join("\n");
      const label = button.textContent;
      button.textContent = (await copied(text)) ? "Copied" : "Could not copy";
      setTimeout(() => { button.textContent = label; }, 1500);
    });
  }

  // Everything closed would be missing on paper.
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });

  requestAnimationFrame(() => setTimeout(charts, 0));
})();
