/**
 * How deep to look at a dirty path. Ordered: a wider scope covers the narrower ones at the same path, and `subtree`
 * covers everything below.
 *
 * - `entry`: this one name: content and attributes, or its absence. A directory brings only its own attributes.
 * - `listing`: the names in this directory; child directories are not entered.
 * - `subtree`: everything at and below.
 */
export type Scope = 'entry' | 'listing' | 'subtree';

const WIDTH: Record<Scope, number> = { entry: 0, listing: 1, subtree: 2 };

export function widest(one: Scope, other: Scope): Scope {
  return WIDTH[one] >= WIDTH[other] ? one : other;
}
