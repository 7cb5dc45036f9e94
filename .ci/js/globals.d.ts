// What viser's client and our own pages keep on the window.

interface Window {
  /** viser's queue, camera and scene nodes; see ar4d/player/web/bridge.js. */
  __viserMutable: any;
  __viserSceneTree: any;
  __viserTestpoints: any;
  /** The player, for tests. */
  ar4d: any;
  ar4dToggleTheme: () => void;
  ar4dPlayExamples: (element: Element) => void;
  ar4dShowExample: (name: string) => void;
  ar4dSort: (list: Element) => string;
  ar4dAskToDelete: (card: any, ask: boolean) => void;
  ar4dRename: (card: any, run: string, rename: (name: string) => void) => void;
}
