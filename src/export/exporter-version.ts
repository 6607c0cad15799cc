/** Raise it with every change to the exporter's output. Exports by another version are made again. */
export const exporterVersion = '18';
