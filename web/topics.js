// The cards of a deck by topic, in the order of the server's topics. Terms that are alone in theirs come together, last.

/** [{name (null: the others), cards}] */
export function topicsOf(cards) {
  const groups = new Map();
  for (const card of cards) {
    const id = card.cluster_id ?? null;
    if (!groups.has(id)) groups.set(id, { name: card.cluster_name ?? null, cards: [] });
    groups.get(id).cards.push(card);
  }
  const inOrder = [...groups].sort(([one], [two]) => (one ?? Infinity) - (two ?? Infinity)).map(([, topic]) => topic);
  const named = inOrder.filter((topic) => topic.name !== null && topic.cards.length > 1);
  const alone = inOrder.filter((topic) => !named.includes(topic)).flatMap((topic) => topic.cards);
  for (const topic of named) topic.cards.sort((one, two) => (one.cluster_rank ?? 0) - (two.cluster_rank ?? 0));
  return alone.length ? [...named, { name: null, cards: alone }] : named;
}
