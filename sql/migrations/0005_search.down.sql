DROP FUNCTION mesh.nearest(text, jsonb, integer, integer), mesh.in_question(jsonb, integer), mesh.usual_distances(text, integer),
  mesh.distances(text, uuid[]), mesh.distance(text), mesh.lines(uuid[]), mesh.visible(uuid[], jsonb), mesh.bodies(uuid[]), mesh.score(jsonb, uuid[]),
  mesh.count_found(jsonb, integer, integer), mesh.find(jsonb, integer, integer, bigint, bigint),
  mesh.candidates(jsonb, integer, integer), mesh.filters(jsonb), mesh.filter(jsonb), mesh.compare(text, text, text, jsonb),
  mesh.filter_column(text), mesh.scope(jsonb), mesh.owned(text, jsonb), mesh.rank_of(jsonb), mesh.condition(jsonb), mesh.extension_schema(name);
