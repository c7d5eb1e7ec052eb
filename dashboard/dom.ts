/** Elements made in one expression. Texts are always texts: nothing of the daemon's is ever read as markup. */

type Child = Node | string | undefined | false;
type Value = string | number | boolean | undefined | ((event: Event) => void);

/** An HTML element: functions become listeners, `true` an empty attribute, `undefined` and `false` none. */
export function h<K extends keyof HTMLElementTagNameMap>(
	tag: K,
	attributes: Record<string, Value> = {},
	...children: Child[]
): HTMLElementTagNameMap[K] {
	return fill(document.createElement(tag), attributes, children);
}

/** An SVG element, as `h`. */
export function s<K extends keyof SVGElementTagNameMap>(
	tag: K,
	attributes: Record<string, Value> = {},
	...children: Child[]
): SVGElementTagNameMap[K] {
	return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill<E extends Element>(element: E, attributes: Record<string, Value>, children: Child[]): E {
	for (const [name, value] of Object.entries(attributes)) {
		if (typeof value === "function") element.addEventListener(name, value);
		else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
	}
	element.append(...children.filter((child): child is Node | string => child !== undefined && child !== false));
	return element;
}

/** The element of the page with this id. */
export function byId(id: string): HTMLElement {
	const element = document.getElementById(id);
	if (!element) throw new Error(`no element #${id}`);
	return element;
}
