/** Light and dark, one column on a phone. Nothing is loaded from elsewhere. */
export const pageStyle = `
:root { color-scheme: light dark; --ink: #1c2733; --paper: #fff; --soft: #5b6875; --grid: #e1e6eb; --good: #1a7f37; --bad: #c62828;
  --c0: #0b62c4; --c1: #c2410c; --c2: #15803d; --c3: #8b2fb3; --c4: #a16207; --c5: #0e7490; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6ebf0; --paper: #12181f; --soft: #9aa7b4; --grid: #2b3642; --good: #4ac26b; --bad: #ff7b72;
    --c0: #6cb0ff; --c1: #ff9b63; --c2: #5fd38a; --c3: #d69cf0; --c4: #e6c15c; --c5: #5cc8dd; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 75rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 0.5rem; }
p { margin: 0.3rem 0; overflow-wrap: anywhere; } .soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
.plots { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
figure { margin: 0; min-width: 0; } figcaption { font-weight: 600; font-size: 0.9rem; }
svg { display: block; width: 100%; height: auto; } svg text { font-size: 11px; fill: var(--soft); }
.grid { stroke: var(--grid); } .mark { stroke: var(--soft); stroke-dasharray: 2 3; }
polyline { fill: none; stroke-width: 2; stroke-linejoin: round; } .dashed { stroke-dasharray: 5 4; opacity: 0.75; }
${[0, 1, 2, 3, 4, 5].map((i) => `polyline.c${i} { stroke: var(--c${i}); } circle.c${i} { fill: var(--c${i}); } .key.c${i}::before { background: var(--c${i}); }`).join('\n')}
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; padding: 0; margin: 0.3rem 0 0.6rem; list-style: none; font-size: 0.9rem; }
.key::before { content: ''; display: inline-block; width: 1.2rem; height: 0.25rem; border-radius: 2px; margin-right: 0.4rem; vertical-align: middle; }
.table { overflow-x: auto; margin-top: 0.8rem; } table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--grid); }
th:first-child, td:first-child { text-align: left; } th { color: var(--soft); font-weight: 600; }
`;
