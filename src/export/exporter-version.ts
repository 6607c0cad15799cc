/** Raised with every change to what the exporter writes; an export by another version is made again. */
export const exporterVersion = '8';
