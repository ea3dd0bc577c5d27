// Exact pixels: PNG decoding without colour management, and a store that decodes every address once.

/** Decodes a PNG to its stored 8-bit values; rejects when it cannot be fetched or decoded. */
async function decodePng(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  const bitmap = await createImageBitmap(await response.blob(), {
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  });
  const canvas = newCanvas(bitmap.width, bitmap.height);
  // Read back once, right here: a CPU canvas avoids a round trip through the GPU.
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
  return { url, width, height, data, words: new Uint32Array(data.buffer) };
}

function newCanvas(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

/** Keeps decoded images by address; `onChange` runs when one arrives or fails. */
function createImageStore(onChange) {
  const entries = new Map();

  /** Downloads a picture once; one that failed only if it is asked for: every failure draws the page anew. */
  function request(url, retry = false) {
    if (!url || (entries.has(url) && !(retry && entries.get(url).error))) return;
    const entry = { image: null, error: null };
    entries.set(url, entry);
    decodePng(url)
      .then((image) => (entry.image = image))
      .catch((error) => (entry.error = error.message || String(error)))
      .finally(() => entries.get(url) === entry && onChange(url));
  }

  return {
    request,
    image: (url) => (url && entries.get(url)?.image) || null,
    error: (url) => (url && entries.get(url)?.error) || null,
    /** Forgets everything that no pane shows any more: fourteen images of 1024x1024 are 59 MB. */
    keepOnly(urls) {
      for (const url of entries.keys()) if (!urls.has(url)) entries.delete(url);
    },
  };
}

/** Halves a canvas by averaging 2x2 pixels: bilinear sampling at exactly half size reads all four equally. */
function halved(canvas) {
  const half = newCanvas(Math.max(1, Math.ceil(canvas.width / 2)), Math.max(1, Math.ceil(canvas.height / 2)));
  const context = half.getContext("2d");
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "low";
  context.drawImage(canvas, 0, 0, canvas.width / 2, canvas.height / 2);
  return half;
}

/** A picture ready to draw: full resolution plus halved levels that are made when a zoom below 100 % asks for them. */
function createSurface() {
  const levels = [];
  return {
    key: null,
    /** Fills level 0 from RGBA bytes and forgets the smaller levels. */
    write(key, imageData) {
      if (!levels[0] || levels[0].width !== imageData.width || levels[0].height !== imageData.height) {
        levels[0] = newCanvas(imageData.width, imageData.height);
      }
      levels.length = 1;
      levels[0].getContext("2d").putImageData(imageData, 0, 0);
      this.key = key;
    },
    /** Returns the coarsest level that still has a source pixel for every device pixel at this scale. */
    level(scale) {
      let index = 0;
      while (scale * 2 ** (index + 1) <= 1 + 1e-6 && levels[index].width > 1 && levels[index].height > 1) {
        levels[index + 1] ??= halved(levels[index]);
        index += 1;
      }
      return { canvas: levels[index], factor: 2 ** index };
    },
  };
}
