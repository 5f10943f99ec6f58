/** All that the page shows, in one place; panels read it and call its actions. */
import type {
  GetNodeResponseJson,
  ListHoldingsResponseJson,
} from "../../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import type {
  GetPlanResponseJson,
  ListPopularityResponseJson,
} from "../../../proto/gen/bootswarm/seeder/v1/prefetch_pb.js";
import type { Board } from "./board-state.ts";
import type { Connection } from "./connection.ts";
import type { Cursor } from "./map-cursor.ts";
import type { MapChoice, MapContent } from "./map-layout.ts";

/** What the detail panel is about: a node by id, or an image by digest. */
export type Selected = { kind: "node"; id: string } | { kind: "image"; digest: string };

/** What the API said of it. */
export type Detail =
  | { kind: "node"; answer: GetNodeResponseJson }
  | { kind: "image"; answer: ListHoldingsResponseJson }
  | { kind: "error"; message: string };

export type Theme = "auto" | "light" | "dark";

/** Popularity and the plan made from it; undefined where the seeder has none. */
export interface PrefetchState {
  plan: GetPlanResponseJson;
  popularity: ListPopularityResponseJson;
}

export interface AppState {
  board: Board;
  connection: Connection;
  /** Now, as of the last drawing. */
  nowMs: number;
  choice: MapChoice;
  /** What of the board the map shows. */
  content: MapContent;
  /** Width of a node in pixels; 0 for all in view. */
  zoom: number;
  cursor: Cursor | undefined;
  selected: Selected | undefined;
  detail: Detail | undefined;
  prefetch: PrefetchState | undefined;
  theme: Theme;
  allEvents: boolean;
  /** What was copied last, for as long as that is said. */
  copied: string | undefined;
}

export interface Actions {
  choose(choice: Partial<MapChoice>): void;
  zoom(factor: number): void;
  select(selected: Selected | undefined): void;
  /** Selects what the filter found, if it is one thing. */
  selectFound(): void;
  copy(text: string): void;
  nextTheme(): void;
  help(): void;
  toggleEvents(): void;
}
