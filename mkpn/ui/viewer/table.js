// The table of figures as data: its columns, their order, the difference to one pane, and the text to copy.

const COLUMNS = [
  { key: "psnr", name: "PSNR", digits: 2, better: 1, title: "Peak signal-to-noise ratio in dB" },
  { key: "ssim", name: "SSIM", digits: 4, better: 1, title: "Structural similarity, mean over the windows inside" },
  { key: "mae", name: "MAE", digits: 4, better: -1, title: "Mean absolute error, levels in [0,1]" },
  { key: "mse", name: "MSE", digits: 5, better: -1, title: "Mean squared error, levels in [0,1]" },
  { key: "relative", name: "rel. abs.", digits: 4, better: -1, title: "Mean of |a \u2212 b| / (b + 0.01), b the reference" },
  { key: "relativeSquared", name: "rel. sq.", digits: 4, better: -1, title: "Mean of (a \u2212 b)\u00b2 / (b\u00b2 + 0.01), b the reference" },
  { key: "worst", name: "largest", digits: 3, better: -1, title: "Largest absolute error of a pixel (mean of its channels); press a figure to go there" },
  { key: "mean", name: "mean", digits: 3, better: 0, title: "Mean level in [0,1]" },
  { key: "sd", name: "sd", digits: 3, better: 0, title: "Standard deviation of the levels" },
];

/** Returns a row's figure in a column, less that of the row it is compared with. */
function figureIn(row, key, base) {
  const value = row[key] ?? null;
  if (!base || value === null) return value;
  const other = base[key] ?? null;
  return other === null ? null : value === other ? 0 : value - other;
}

/** Returns a figure as text; `minus` may be the ASCII one, for programs. */
function cellText(row, { key, digits }, base, minus = "\u2212") {
  const value = figureIn(row, key, base);
  if (value === null) return "";
  const text = Math.abs(value) === Infinity ? "\u221e" : Math.abs(value).toFixed(digits);
  const negative = value < 0 && Number(text) !== 0;
  return (negative ? minus : base && Number(text) !== 0 ? "+" : "") + text;
}

/** Returns the rows in the order of a column, empty figures last; without a key as they are. */
function sortedRows(rows, { key, descending }, base) {
  if (!key) return rows;
  const figure = (row) => figureIn(row, key, base);
  return [...rows].sort((a, b) => {
    const [left, right] = [figure(a), figure(b)];
    if (left === null || right === null) return (left === null) - (right === null);
    if (left === right) return 0;
    return (left < right ? -1 : 1) * (descending ? -1 : 1);
  });
}

/** Returns the best figure of a column as it is shown, or null where nothing competes. */
function bestFigure(rows, { key, digits, better }) {
  const values = rows.map((row) => row[key] ?? null).filter((value) => value !== null).map((value) => asShown(value, digits));
  if (!better || values.length < 2) return null;
  return better > 0 ? Math.max(...values) : Math.min(...values);
}

/** Returns the table as CSV or Markdown, in the order shown. */
function tableText(rows, base, format) {
  const head = ["Pane", ...COLUMNS.map(({ name }) => name), "largest at"];
  const lines = rows.map((row) => [
    row.pane.label,
    ...COLUMNS.map((column) => cellText(row, column, base, "-")),
    row.place ? `${row.place.x} ${row.place.y}` : "",
  ]);
  if (format === "csv") {
    const field = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    return [head, ...lines].map((line) => line.map(field).join(",")).join("\n") + "\n";
  }
  const line = (fields) => `| ${fields.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map((_, i) => (i ? "---:" : "---"))), ...lines.map(line)].join("\n") + "\n";
}
