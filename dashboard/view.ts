/** One of the page's views. */
export interface View {
	/** Puts itself into the empty main element. */
	mount(main: HTMLElement): void;
	/** The model has changed. */
	update(): void;
	/** The main element is about to be emptied. */
	unmount?(): void;
}
