-- Searching. What is asked comes as data (JSON), never as SQL: conditions over a document, ranks, scope and filters are
-- trees of known nodes, from which the statement is put together here, every value as a literal. So a role that may
-- search can ask for nothing else, though the statement runs with the rights of the owner of Immich's tables.

-- The functions that only write SQL run with the search path of those that run it: setting one for each node would cost
-- more than the node.

CREATE FUNCTION mesh.extension_schema(extension name) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = extension
$$;

-- {"all": [...]}, {"any": [...]}, {"not": node}, {"words" | "headline" | "grams": tsquery}, {"body": regex}, {"squeezed": regex
-- without spaces}, {"holds": text without spaces}, {"alike": regex, look-alikes made one}, {"similar": word, by trigrams}.
-- What reads through a text stands in a CASE: else the planner would try it on a hundred texts to estimate what it finds, and
-- ask an index of trigrams for a pattern that the others have narrowed down already.
CREATE FUNCTION mesh.condition(node jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
  kind text;
  inner_node jsonb;
  said text;
  read text;
BEGIN
  SELECT key, value, value #>> '{}' INTO STRICT kind, inner_node, said FROM jsonb_each(node);
  CASE kind
    WHEN 'all' THEN
      RETURN '(' || (SELECT string_agg(mesh.condition(part), ' AND ') FROM jsonb_array_elements(inner_node) AS part) || ')';
    WHEN 'any' THEN
      RETURN '(' || (SELECT string_agg(mesh.condition(part), ' OR ') FROM jsonb_array_elements(inner_node) AS part) || ')';
    WHEN 'not' THEN RETURN 'NOT ' || mesh.condition(inner_node);
    WHEN 'words', 'headline', 'grams' THEN RETURN format('document.%I @@ %L::tsquery', kind, said);
    WHEN 'similar' THEN
      RETURN coalesce(quote_literal(said) || ' OPERATOR(' || mesh.extension_schema('pg_trgm') || '.<%) document.body', 'false');
    WHEN 'body' THEN read := format('document.body ~ %L', said);
    WHEN 'squeezed' THEN read := format('replace(document.body, '' '', '''') ~ %L', said);
    WHEN 'holds' THEN read := format('position(%L IN replace(document.body, '' '', '''')) > 0', said);
    WHEN 'alike' THEN read := format('translate(replace(document.body, '' '', ''''), ''oilsbz'', ''011582'') ~ %L', said);
  END CASE;
  RETURN format('CASE WHEN %s THEN true ELSE false END', read);
END
$$;
COMMENT ON FUNCTION mesh.condition(jsonb) IS 'A condition over a document as SQL.';

-- {"column": "headline" | "words", "query": tsquery, "exact": tsquery | null, "near": bool, "phrase": tsquery | null}
-- A match counts 0.1, 0.25, 0.55 or 1 in letters of unsure reading, small, middle and large (D to A): one large beats many
-- small ones. The word itself comes before words that only begin with it, words close together before those far apart.
CREATE FUNCTION mesh.rank_of(rank jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
  document_column text := CASE rank ->> 'column' WHEN 'headline' THEN 'headline' ELSE 'words' END;
  of_query text := format('ts_rank(''{0.1,0.25,0.55,1}'', document.%I, %%L::tsquery, 1)', document_column);
  ranked text := format(of_query, rank ->> 'query');
BEGIN
  IF rank ->> 'exact' IS NOT NULL THEN
    ranked := format('(0.6 * %s + 0.4 * %s)', ranked, format(of_query, rank ->> 'exact'));
  END IF;
  IF rank ->> 'phrase' IS NOT NULL THEN
    ranked := format('(0.5 * %s + 0.3 * ts_rank_cd(''{0.1,0.25,0.55,1}'', document.%I, %L::tsquery, 32) + 0.2 * (document.%I @@ %L::tsquery)::integer)',
                     ranked, document_column, rank ->> 'query', document_column, rank ->> 'phrase');
  END IF;
  IF rank ->> 'short' = 'true' THEN
    ranked := format('(%s + 0.1 / (1 + ln(1 + length(document.body))))', ranked);
  END IF;
  RETURN ranked || '::real';
END
$$;
COMMENT ON FUNCTION mesh.rank_of(jsonb) IS 'The rank of a document within its step as SQL, 0 to about 1.';

-- {"owners": [uuid] | null, "visibilities": [text], "deleted": bool}; null stands for everyone.
CREATE FUNCTION mesh.owners(scope jsonb) RETURNS uuid[]
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN CASE WHEN jsonb_typeof(scope -> 'owners') <> 'null' THEN ARRAY(SELECT jsonb_array_elements_text(scope -> 'owners'))::uuid[] END;
END
$$;
COMMENT ON FUNCTION mesh.owners(jsonb) IS 'Whose photos the caller may see; null for everyone''s.';

CREATE FUNCTION mesh.scope(scope jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
  owners uuid[] := mesh.owners(scope);
BEGIN
  RETURN format('asset.visibility::text = ANY (%L::text[])', ARRAY(SELECT jsonb_array_elements_text(scope -> 'visibilities')))
    || CASE WHEN owners IS NULL THEN '' ELSE format(' AND asset."ownerId" = ANY (%L::uuid[])', owners) END
    || CASE WHEN scope ->> 'deleted' = 'true' THEN '' ELSE ' AND asset."deletedAt" IS NULL' END;
END
$$;
COMMENT ON FUNCTION mesh.scope(jsonb) IS 'What of table asset the caller may see as SQL.';

-- Which column a filter is about. Fields of asset_exif demand a row there.
CREATE FUNCTION mesh.filter_column(field text, OUT relation text, OUT expression text, OUT kind text)
LANGUAGE sql IMMUTABLE AS $$
  SELECT relation, format('%I.%I', alias, name), kind FROM (VALUES
    ('id', 'asset', 'asset', 'id', 'uuid'), ('libraryId', 'asset', 'asset', 'libraryId', 'uuid'),
    ('deviceId', 'asset', 'asset', 'deviceId', 'text'), ('type', 'asset', 'asset', 'type', 'text'),
    ('visibility', 'asset', 'asset', 'visibility', 'text'),
    ('isFavorite', 'asset', 'asset', 'isFavorite', 'boolean'), ('isOffline', 'asset', 'asset', 'isOffline', 'boolean'),
    ('originalFileName', 'asset', 'asset', 'originalFileName', 'text'), ('originalPath', 'asset', 'asset', 'originalPath', 'text'),
    ('takenAt', 'asset', 'asset', 'fileCreatedAt', 'timestamptz'), ('createdAt', 'asset', 'asset', 'createdAt', 'timestamptz'),
    ('updatedAt', 'asset', 'asset', 'updatedAt', 'timestamptz'), ('trashedAt', 'asset', 'asset', 'deletedAt', 'timestamptz'),
    ('checksum', 'asset', 'asset', 'checksum', 'bytea'), ('encodedVideoPath', 'asset', 'asset', 'encodedVideoPath', 'text'),
    ('city', 'asset_exif', 'exif', 'city', 'text'), ('state', 'asset_exif', 'exif', 'state', 'text'),
    ('country', 'asset_exif', 'exif', 'country', 'text'), ('make', 'asset_exif', 'exif', 'make', 'text'),
    ('model', 'asset_exif', 'exif', 'model', 'text'), ('lensModel', 'asset_exif', 'exif', 'lensModel', 'text'),
    ('description', 'asset_exif', 'exif', 'description', 'text'), ('rating', 'asset_exif', 'exif', 'rating', 'double precision'),
    ('fileSizeInBytes', 'asset_exif', 'exif', 'fileSizeInByte', 'double precision')
  ) AS known(field, relation, alias, name, kind) WHERE known.field = filter_column.field
$$;

CREATE FUNCTION mesh.compare(expression text, kind text, op text, value jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
  said text := value #>> '{}';
  unaccent text := '%s';
  operator text;
BEGIN
  IF said IS NULL AND op IN ('eq', 'ne') THEN
    RETURN expression || CASE op WHEN 'eq' THEN ' IS NULL' ELSE ' IS NOT NULL' END;
  END IF;
  IF op IN ('in', 'notIn') THEN
    RETURN format('%s::%s %s (%L::%s[])', expression, kind, CASE op WHEN 'in' THEN '= ANY' ELSE '<> ALL' END,
                  ARRAY(SELECT jsonb_array_elements_text(value)), kind);
  END IF;
  SELECT sign INTO operator FROM (VALUES ('eq', '='), ('ne', '<>'), ('lt', '<'), ('lte', '<='), ('gt', '>'), ('gte', '>='))
    AS known(name, sign) WHERE name = op;
  IF FOUND AND said IS NOT NULL THEN
    RETURN format('%s::%s %s %L::%s', expression, kind, operator, said, kind);
  END IF;
  -- Immich's own function, that of the table's owner: anybody might have put another one of that name into schema public.
  IF EXISTS (SELECT FROM pg_proc JOIN pg_roles ON pg_roles.oid = proowner
             WHERE pg_proc.oid = to_regprocedure('public.f_unaccent(text)') AND rolname = current_user) THEN
    unaccent := 'public.f_unaccent(%s)';
  END IF;
  SELECT form INTO operator FROM (VALUES ('like', '%s ILIKE (''%%'' || %s || ''%%'')'), ('notLike', '%s NOT ILIKE (''%%'' || %s || ''%%'')'),
    ('startsWith', '%s ILIKE (%s || ''%%'')'), ('endsWith', '%s ILIKE (''%%'' || %s)')) AS known(name, form) WHERE name = op;
  IF FOUND AND said IS NOT NULL AND kind = 'text' THEN
    RETURN format(operator, format(unaccent, expression || '::text'), format(unaccent, quote_literal(said) || '::text'));
  END IF;
  RAISE invalid_parameter_value USING MESSAGE = format('filter %s cannot be applied to this value', op);
END
$$;

-- One filter, {"field", "op", "value"}, in Immich's names and with Immich's meaning (`searchAssetBuilder` of 2.2 to 3.2,
-- observed): people count visible faces that are not deleted, tags include the tags nested below them, `all` demands every id.
CREATE FUNCTION mesh.filter(filter jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
  field text := filter ->> 'field';
  op text := filter ->> 'op';
  value jsonb := filter -> 'value';
  about record;
  made text;
  links text;
BEGIN
  SELECT form INTO made FROM (VALUES
    ('hasAlbums', 'album_asset', 'EXISTS (SELECT FROM public.album_asset AS link WHERE link."assetId" = asset.id)'),
    ('hasTags', 'tag_asset', 'EXISTS (SELECT FROM public.tag_asset AS link WHERE link."assetId" = asset.id)'),
    ('hasPeople', 'asset_face', 'EXISTS (SELECT FROM public.asset_face AS link WHERE link."assetId" = asset.id AND link."deletedAt" IS NULL AND link."isVisible")'),
    ('isMotion', 'asset', 'asset."livePhotoVideoId" IS NOT NULL'),
    ('isStacked', 'asset', 'asset."stackId" IS NOT NULL'),
    ('isEncoded', 'asset', 'coalesce(asset."encodedVideoPath", '''') <> '''''),
    ('isEncodedFile', 'asset_file', 'EXISTS (SELECT FROM public.asset_file AS file WHERE file."assetId" = asset.id AND file.type = ''encoded_video'')')
  ) AS known(name, relation, form) WHERE name = field AND op = 'eq' AND mesh.trusted(relation) IS NOT NULL;
  IF FOUND THEN
    RETURN format('(%s) = %L::boolean', made, value #>> '{}');
  END IF;
  IF field = 'encodedVideoFile' AND mesh.trusted('asset_file') IS NOT NULL THEN
    RETURN format('EXISTS (SELECT FROM public.asset_file AS file WHERE file."assetId" = asset.id AND file.type = ''encoded_video'''
                  ' AND NOT file."isEdited" AND %s)', mesh.compare('file.path', 'text', op, value));
  END IF;
  SELECT 'FROM public.' || source || ' WHERE link."assetId" = asset.id AND ' || target || ' = ANY ('
      || quote_literal(ARRAY(SELECT jsonb_array_elements_text(value))::uuid[]) || '::uuid[])' || more, target
  INTO made, links FROM (VALUES
    ('albumIds', 'album_asset', 'album_asset AS link', 'link."albumId"', ''),
    ('personIds', 'asset_face', 'asset_face AS link', 'link."personId"', ' AND link."deletedAt" IS NULL AND link."isVisible"'),
    ('tagIds', 'tag_closure', 'tag_asset AS link JOIN public.tag_closure AS nested ON nested.id_descendant = link."tagId"', 'nested.id_ancestor', '')
  ) AS known(name, relation, source, target, more) WHERE name = field AND op IN ('any', 'all', 'none') AND mesh.trusted(relation) IS NOT NULL
    AND (field <> 'tagIds' OR mesh.trusted('tag_asset') IS NOT NULL);
  IF FOUND THEN
    RETURN CASE op WHEN 'any' THEN format('EXISTS (SELECT %s)', made) WHEN 'none' THEN format('NOT EXISTS (SELECT %s)', made)
      ELSE format('(SELECT count(DISTINCT %s) %s) = %s', links, made, (SELECT count(DISTINCT id) FROM jsonb_array_elements(value) AS id)) END;
  END IF;
  about := mesh.filter_column(field);
  IF about.relation IS NULL OR mesh.trusted(about.relation) IS NULL THEN
    RAISE invalid_parameter_value USING MESSAGE = format('filter %s %s cannot be applied', field, op);
  END IF;
  made := mesh.compare(about.expression, about.kind, op, value);
  RETURN CASE about.relation WHEN 'asset' THEN made
    ELSE format('EXISTS (SELECT FROM public.asset_exif AS exif WHERE exif."assetId" = asset.id AND %s)', made) END;
END
$$;

-- {"all": [filter], "any": [[filter]]}
CREATE FUNCTION mesh.filters(filters jsonb) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT coalesce(string_agg(part, ' AND '), 'true') FROM (
    SELECT mesh.filter(one) AS part FROM jsonb_array_elements(filters -> 'all') AS one
    UNION ALL
    SELECT '(' || string_agg(coalesce((SELECT '(' || string_agg(mesh.filter(one), ' AND ') || ')' FROM jsonb_array_elements(branch) AS one), 'true'), ' OR ') || ')'
    FROM jsonb_array_elements(filters -> 'any') AS branch HAVING count(*) > 0
  ) AS parts
$$;
COMMENT ON FUNCTION mesh.filters(jsonb) IS 'Immich''s search filters over table asset as SQL.';

-- The statement that gives the candidates of one step, best ones and others: $1 photos that earlier steps gave, $2 owners,
-- $3 and $4 where the window begins and how long it is.
CREATE FUNCTION mesh.candidates(step jsonb, filters jsonb, owned boolean, earlier boolean) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN format('SELECT array_agg(asset_id), array_agg(rank) FROM (SELECT document.asset_id, %s AS rank FROM mesh.ocr_document AS document%s'
                ' WHERE %s%s%s OFFSET $3 LIMIT $4) AS found',
                mesh.rank_of(step -> 'rank'),
                CASE WHEN filters IS NOT NULL THEN ' JOIN public.asset ON asset.id = document.asset_id AND ' || mesh.filters(filters) ELSE '' END,
                mesh.condition(step -> 'where'),
                CASE WHEN owned THEN ' AND document.owner_id = ANY ($2)' ELSE '' END,
                CASE WHEN earlier THEN ' AND document.asset_id <> ALL ($1)' ELSE '' END);
END
$$;

-- A text search: steps, one after the other until the page is full. Of each step the text index gives a window of documents;
-- they are ranked, and then, best first, those out of scope are passed over (the lateral join makes it one look-up per photo;
-- left to itself, the planner reads all photos).
--   {"scope", "filters", "window": photos, "start", "end": places of the page, "steps": [
--     {"match": name, "where": node, "rank": rank, "at_least": so many places, whatever the page,
--      "body": whether with their text, "best": at most so many, of any place, "alone": only where nothing was found}]}
-- All steps together are one sequence, of which a photo has a place; those of a step with "best" are still to be ordered, and
-- have the place where the first of them would be.
CREATE FUNCTION mesh.find(asked jsonb, OUT match text, OUT asset_id uuid, OUT rank real, OUT place bigint, OUT body text) RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  window_size integer := (asked -> 'window')::integer;
  page_start bigint := (asked -> 'start')::bigint;
  owners uuid[] := mesh.owners(asked -> 'scope');
  visibilities text[] := ARRAY(SELECT jsonb_array_elements_text(asked #> '{scope,visibilities}'));
  with_deleted boolean := (asked #> '{scope,deleted}')::boolean;
  step jsonb;
  statement text;
  ids uuid[];
  ranks real[];
  earlier uuid[] := '{}';
  given uuid[];
  passed bigint := 0;
  skipped bigint;
  step_end bigint;
  returned bigint;
  likely boolean := false;
  with_text boolean;
BEGIN
  PERFORM mesh.demand(false);
  IF mesh.trusted('asset') IS NULL THEN
    RAISE undefined_table USING MESSAGE = 'table asset is missing';
  END IF;
  IF EXISTS (SELECT FROM mesh.stale WHERE stale.asset_id IS NULL AND stale.reason = 'no backfill has run') THEN
    RAISE object_not_in_prerequisite_state USING MESSAGE = 'the photos'' texts are not indexed yet: `immich-mesh db backfill` has not run, or runs';
  END IF;
  FOR step IN SELECT value FROM jsonb_array_elements(asked -> 'steps') LOOP
    step_end := greatest((asked -> 'end')::bigint, coalesce((step -> 'at_least')::bigint, 0));
    CONTINUE WHEN passed >= step_end OR ((step -> 'alone')::boolean AND (passed > 0 OR likely));
    statement := mesh.candidates(step, asked -> 'filters', owners IS NOT NULL, cardinality(earlier) > 0);
    with_text := (step -> 'body')::boolean;
    given := '{}';
    FOR window_number IN 0 .. 2147483646 LOOP
      EXECUTE statement INTO ids, ranks USING earlier, owners, window_number * window_size, window_size;
      skipped := CASE WHEN step ? 'best' THEN 0 ELSE greatest(page_start - passed, 0) END;
      RETURN QUERY
      SELECT step ->> 'match', ranked.asset_id, ranked.rank,
             passed + CASE WHEN step ? 'best' THEN 0 ELSE row_number() OVER () - 1 END,
             CASE WHEN with_text THEN (SELECT document.body FROM mesh.ocr_document AS document WHERE document.asset_id = ranked.asset_id) END
      FROM (SELECT * FROM unnest(ids, ranks) AS candidate(asset_id, rank) ORDER BY candidate.rank DESC, candidate.asset_id OFFSET 0) AS ranked
      CROSS JOIN LATERAL (
        SELECT FROM public.asset
        WHERE asset.id = ranked.asset_id AND (owners IS NULL OR asset."ownerId" = ANY (owners)) AND asset.visibility::text = ANY (visibilities)
          AND (with_deleted OR asset."deletedAt" IS NULL)
        LIMIT 1) AS visible
      ORDER BY ranked.rank DESC, ranked.asset_id
      LIMIT CASE WHEN step ? 'best' THEN (step -> 'best')::bigint ELSE step_end - greatest(passed, page_start) END OFFSET skipped;
      GET DIAGNOSTICS returned = ROW_COUNT;
      IF step ? 'best' THEN
        likely := returned > 0;
        EXIT;
      END IF;
      IF skipped > 0 AND returned = 0 THEN
        SELECT count(*) INTO skipped FROM public.asset
        WHERE asset.id = ANY (ids) AND (owners IS NULL OR asset."ownerId" = ANY (owners)) AND asset.visibility::text = ANY (visibilities)
          AND (with_deleted OR asset."deletedAt" IS NULL);
      END IF;
      passed := passed + skipped + returned;
      given := given || ids;
      EXIT WHEN passed >= step_end OR coalesce(cardinality(ids), 0) < window_size;
    END LOOP;
    earlier := earlier || given;
  END LOOP;
END
$$;
COMMENT ON FUNCTION mesh.find(jsonb) IS 'Photos that the steps of a text search find, best first.';

-- {"steps": [{"match": name, "where": node, "rank": rank, "body": whether with their text}]}
CREATE FUNCTION mesh.score(asked jsonb, ids uuid[], OUT match text, OUT asset_id uuid, OUT rank real, OUT body text) RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  steps jsonb := asked -> 'steps';
  conditions text := '';
  ranks text := '';
BEGIN
  PERFORM mesh.demand(false);
  FOR number IN 0 .. jsonb_array_length(steps) - 1 LOOP
    conditions := conditions || format(' WHEN %s THEN %s', mesh.condition(steps #> ARRAY[number::text, 'where']), number);
    ranks := ranks || format(' WHEN %s THEN %s', number, mesh.rank_of(steps #> ARRAY[number::text, 'rank']));
  END LOOP;
  IF conditions = '' THEN
    RETURN;
  END IF;
  RETURN QUERY EXECUTE format($q$
    SELECT $2 #>> ARRAY[document.number::text, 'match'], document.asset_id, CASE document.number%s END,
           CASE WHEN ($2 -> document.number -> 'body')::boolean THEN document.body END
    FROM (SELECT document.*, CASE%s END AS number FROM mesh.ocr_document AS document WHERE document.asset_id = ANY ($1) OFFSET 0) AS document
    WHERE document.number IS NOT NULL $q$, ranks, conditions) USING ids, steps;
END
$$;
COMMENT ON FUNCTION mesh.score(jsonb, uuid[]) IS 'By which step each of these photos is found first, and how that ranks it; scope is not looked at.';

CREATE FUNCTION mesh.visible(ids uuid[], scope jsonb) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM mesh.demand(false);
  RETURN QUERY EXECUTE format('SELECT id FROM public.asset WHERE id = ANY ($1) AND %s', mesh.scope(scope)) USING ids;
END
$$;
COMMENT ON FUNCTION mesh.visible(uuid[], jsonb) IS 'Those of these photos that are in scope.';

-- Lines in the order in which they stand, with boxes where the source has them, and those tokens a search would find them by.
CREATE FUNCTION mesh.lines(ids uuid[], OUT asset_id uuid, OUT ordinal bigint, OUT content text, OUT confidence real, OUT box real[], OUT words tsvector, OUT body text)
RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM mesh.demand(false);
  IF mesh.trusted('asset_ocr') IS NOT NULL THEN
    RETURN QUERY
    SELECT line."assetId", row_number() OVER (ORDER BY line.y1, line.x1), line.text::text, line."textScore"::real,
           ARRAY[line.x1, line.y1, line.x2, line.y2, line.x3, line.y3, line.x4, line.y4]::real[], made.words, made.body
    FROM public.asset_ocr AS line
    CROSS JOIN LATERAL mesh.document(ARRAY[ROW(line."assetId", 1, line.text, line."textScore", 1)::mesh.line]) AS made
    WHERE line."assetId" = ANY (ids) AND to_jsonb(line) -> 'isVisible' IS DISTINCT FROM 'false';
  ELSE
    RETURN QUERY
    SELECT line.asset_id, line.reading::bigint, line.content, line.confidence, NULL::real[], made.words, made.body
    FROM mesh.fork_lines(ids) AS line
    CROSS JOIN LATERAL mesh.document(ARRAY[ROW(line.asset_id, 1, line.content, line.confidence, 1)::mesh.line]) AS made;
  END IF;
END
$$;
COMMENT ON FUNCTION mesh.lines(uuid[]) IS 'The visible lines of these photos.';

-- The vector's side. The operator is pgvector's own, in whichever schema that lies.
CREATE FUNCTION mesh.distance(embedding text) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT format('smart.embedding OPERATOR(%s.<=>) %L::%s', mesh.extension_schema('vector'), embedding, format_type(atttypid, NULL))
  FROM pg_attribute WHERE attrelid = mesh.trusted('smart_search') AND attname = 'embedding' AND NOT attisdropped
$$;
COMMENT ON FUNCTION mesh.distance(text) IS 'The cosine distance between an embedding and a photo''s as SQL; null where no photo has one.';

CREATE FUNCTION mesh.distances(embedding text, ids uuid[], OUT asset_id uuid, OUT distance double precision) RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM mesh.demand(false);
  RETURN QUERY EXECUTE format('SELECT "assetId", %s FROM public.smart_search AS smart WHERE "assetId" = ANY ($1)', mesh.distance(embedding)) USING ids;
END
$$;
COMMENT ON FUNCTION mesh.distances(text, uuid[]) IS 'Distances of those of these photos that have an embedding.';

-- Photos with the first ids, which are random.
CREATE FUNCTION mesh.usual_distances(embedding text, photos integer) RETURNS double precision[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found double precision[];
BEGIN
  PERFORM mesh.demand(false);
  EXECUTE format($q$
    SELECT percentile_cont(ARRAY[0.5, 0.75, 0.9]) WITHIN GROUP (ORDER BY distance)
    FROM (SELECT %s AS distance FROM public.smart_search AS smart ORDER BY "assetId" LIMIT %s) AS sample WHERE distance <> 'NaN' $q$,
    mesh.distance(embedding), photos) INTO found;
  RETURN found;
END
$$;
COMMENT ON FUNCTION mesh.usual_distances(text, integer) IS 'Median, 75th and 90th percentile of the distances between an embedding and photos in general.';

CREATE FUNCTION mesh.in_question(asked jsonb, most integer) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  counted bigint;
BEGIN
  PERFORM mesh.demand(false);
  EXECUTE format('SELECT count(*) FROM (SELECT FROM public.asset WHERE %s AND %s LIMIT %s) AS few', mesh.scope(asked -> 'scope'),
                 mesh.filters(coalesce(asked -> 'filters', '{}')), most) INTO counted;
  RETURN counted;
END
$$;
COMMENT ON FUNCTION mesh.in_question(jsonb, integer) IS 'How many photos are in scope and pass the filters, counted up to a limit.';

-- Exactly, sorted by an expression that no index knows; or as the vector index gives them, of the nearest `looked_at` those
-- in scope (the inner limit is what makes the planner take the index: it does not know what a distance costs).
CREATE FUNCTION mesh.nearest(embedding text, asked jsonb, looked_at integer, wanted integer,
                             OUT asset_id uuid, OUT distance double precision) RETURNS SETOF record
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  near text := mesh.distance(embedding);
  visible text := mesh.scope(asked -> 'scope') || ' AND ' || mesh.filters(coalesce(asked -> 'filters', '{}'));
BEGIN
  PERFORM mesh.demand(false);
  IF looked_at IS NULL THEN
    RETURN QUERY EXECUTE format($q$
      SELECT smart."assetId", %1$s FROM public.asset JOIN public.smart_search AS smart ON smart."assetId" = asset.id
      WHERE %2$s ORDER BY (%1$s) + 0 LIMIT %3$s $q$, near, visible, wanted);
  ELSE
    RETURN QUERY EXECUTE format($q$
      SELECT near."assetId", near.distance
      FROM (SELECT smart."assetId", %1$s AS distance FROM public.smart_search AS smart ORDER BY %1$s LIMIT %4$s) AS near
      CROSS JOIN LATERAL (SELECT FROM public.asset WHERE asset.id = near."assetId" AND %2$s LIMIT 1) AS visible
      ORDER BY near.distance LIMIT %3$s $q$, near, visible, wanted, looked_at);
  END IF;
END
$$;
COMMENT ON FUNCTION mesh.nearest(text, jsonb, integer, integer) IS 'The photos nearest to an embedding.';
