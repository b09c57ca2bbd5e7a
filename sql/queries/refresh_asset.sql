-- Holds the photo in place while its rows are replaced: a deletion waits, or has won already.
SELECT "ownerId" AS owner_id FROM public.asset WHERE id = $1 FOR KEY SHARE
