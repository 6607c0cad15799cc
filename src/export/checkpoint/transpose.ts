/** Numbers in one panel of output rows: 4 MiB. */
const panelSize = 1 << 20;
/** Side of the square that is copied at once, so that reads and writes both stay in the cache. */
const tile = 32;

/**
 * The transpose of a row-major [rows, columns] matrix, in panels of whole rows.
 * @param load the matrix; called when the first panel is asked for, so that one matrix is in memory at a time
 */
export async function* transposedPanels(
  load: () => Promise<Float32Array>,
  rows: number,
  columns: number,
): AsyncGenerator<Float32Array<ArrayBuffer>> {
  const matrix = await load();
  const panelRows = Math.max(1, Math.floor(panelSize / Math.max(rows, 1)));
  for (let first = 0; first < columns; first += panelRows) {
    const last = Math.min(first + panelRows, columns);
    yield transposeColumns(matrix, rows, columns, first, last);
  }
}

/** Columns `first` to `last` of the matrix as rows: [last − first, rows]. */
function transposeColumns(matrix: Float32Array, rows: number, columns: number, first: number, last: number) {
  const panel = new Float32Array((last - first) * rows);
  for (let row = 0; row < rows; row += tile) {
    const rowEnd = Math.min(row + tile, rows);
    for (let column = first; column < last; column += tile) {
      const columnEnd = Math.min(column + tile, last);
      for (let r = row; r < rowEnd; r += 1) {
        for (let c = column; c < columnEnd; c += 1) panel[(c - first) * rows + r] = matrix[r * columns + c]!;
      }
    }
  }
  return panel;
}
