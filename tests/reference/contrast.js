// Returns a description of each displayed text whose contrast with its background is below 4.5 (WCAG 2.2, 1.4.3).
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

/** Returns red, green, blue (0 to 255) and alpha (0 to 1) of a CSS color. */
function parse(color) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
  return [red, green, blue, alpha / 255];
}

const blend = (top, bottom) => [0, 1, 2].map((i) => top[i] * top[3] + bottom[i] * (1 - top[3]));

/** Returns the element and all around it, the innermost first. */
function ancestors(element) {
  const all = [];
  for (let current = element; current; current = current.parentElement) {
    all.push(current);
  }
  return all;
}

function background(element) {
  const layers = ancestors(element).map((current) => parse(getComputedStyle(current).backgroundColor));
  const canvasColor = matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
  return layers.reduceRight((bottom, layer) => blend(layer, bottom), canvasColor);
}

function luminance(color) {
  const linear = color.map((part) => {
    const value = part / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

function isDisplayed(element) {
  const { width, height } = element.getBoundingClientRect();
  return width > 1 && height > 1 && element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
}

const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const found = new Set();
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement;
  const text = texts.currentNode.textContent.trim();
  // Disabled controls may have less contrast.
  if (!text || !isDisplayed(element) || element.closest("script, style, noscript, :disabled, [aria-disabled=true]")) {
    continue;
  }
  const behind = background(element);
  const color = parse(getComputedStyle(element).color);
  color[3] *= ancestors(element).reduce((product, current) => product * getComputedStyle(current).opacity, 1);
  const [light, dark] = [luminance(blend(color, behind)), luminance(behind)].sort((a, b) => b - a);
  const contrast = (light + 0.05) / (dark + 0.05);
  if (contrast < 4.5) {
    found.add(`${contrast.toFixed(2)}: "${text.slice(0, 40)}" in <${element.localName} class="${element.className}">`);
  }
}
return [...found];
