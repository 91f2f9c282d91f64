(() => {
  const MILLISECONDS = 80;
  const dark = window.matchMedia("screen and (prefers-color-scheme: dark)");

  function start(figure) {
    const animation = JSON.parse(figure.querySelector("script").textContent);
    const stage = figure.querySelector(".stage");
    const button = figure.querySelector(".controls button");
    const slider = figure.querySelector(".controls input");
    const readout = figure.querySelector(".controls output");
    const last = animation.frames.length - 1;
    let timer = null;
    let held = false;

    function draw() {
      const colours = dark.matches ? animation.dark : animation.light;
      const frame = animation.frames[Number(slider.value)];
      const data = colours.data.map((trace, place) => {
        const row = animation.moving.indexOf(place);
        return row < 0 ? trace : { ...trace, ...frame[row] };
      });
      const buttons = "scene" in colours.layout
        ? ["resetCameraLastSave3d"]
        : ["zoomIn2d", "zoomOut2d", "resetScale2d"];
      const config = { responsive: true, displaylogo: false, scrollZoom: false, modeBarButtons: [buttons] };
      const label = animation.labels[Number(slider.value)];
      readout.textContent = label;
      slider.setAttribute("aria-valuetext", label);
      return Plotly.react(stage, data, structuredClone(colours.layout), config);
    }

    function stop() {
      clearInterval(timer);
      timer = null;
      button.textContent = "Play";
    }

    function step() {
      if (held) return; // drawing would let go of what is being dragged
      slider.value = Number(slider.value) + 1;
      draw();
      if (Number(slider.value) === last) stop();
    }

    button.addEventListener("click", () => {
      if (timer !== null) return stop();
      if (Number(slider.value) === last) slider.value = 0;
      draw();
      timer = setInterval(step, MILLISECONDS);
      button.textContent = "Pause";
    });
    slider.addEventListener("input", () => {
      stop();
      draw();
    });
    stage.addEventListener("pointerdown", () => { held = true; }, true);
    ["pointerup", "pointercancel"].forEach((end) => {
      window.addEventListener(end, () => { held = false; }, true);
    });
    dark.addEventListener("change", draw);
    draw();
  }

  document.querySelectorAll("figure.animation").forEach(start);
})();
