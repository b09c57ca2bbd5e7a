-- Whether the photo is still there; once a row names it, the foreign key keeps it until the transaction ends.
SELECT "ownerId" AS owner_id FROM public.asset WHERE id = $1
