/** Quantities as people read them: the page shows them in the same way. */
export * from "../figures/units.ts";
