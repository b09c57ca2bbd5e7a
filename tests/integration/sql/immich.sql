-- Immich 2.7's tables as far as search and refresh meet them, with its constraints, cascades and vector index.
-- Variants of other versions are made from this by `shapes.py`.
CREATE TYPE asset_visibility_enum AS ENUM ('archive', 'timeline', 'hidden', 'locked');
CREATE TYPE assets_status_enum AS ENUM ('active', 'trashed', 'deleted');
CREATE TABLE "user" (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email varchar NOT NULL DEFAULT '');
CREATE TABLE asset (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  "deviceAssetId" varchar NOT NULL DEFAULT '',
  "ownerId" uuid NOT NULL REFERENCES "user" ON DELETE CASCADE ON UPDATE CASCADE,
  "deviceId" varchar NOT NULL DEFAULT '',
  type varchar NOT NULL DEFAULT 'IMAGE',
  "originalPath" varchar NOT NULL DEFAULT '',
  "fileCreatedAt" timestamptz NOT NULL DEFAULT now(),
  "fileModifiedAt" timestamptz NOT NULL DEFAULT now(),
  "localDateTime" timestamptz NOT NULL DEFAULT now(),
  "isFavorite" boolean NOT NULL DEFAULT false,
  duration varchar,
  checksum bytea NOT NULL DEFAULT '\x00',
  "livePhotoVideoId" uuid REFERENCES asset ON DELETE SET NULL ON UPDATE CASCADE,
  "createdAt" timestamptz NOT NULL DEFAULT now(),
  "updatedAt" timestamptz NOT NULL DEFAULT now(),
  "originalFileName" varchar NOT NULL DEFAULT '',
  "isOffline" boolean NOT NULL DEFAULT false,
  "isExternal" boolean NOT NULL DEFAULT false,
  "libraryId" uuid,
  "deletedAt" timestamptz,
  "stackId" uuid,
  status assets_status_enum NOT NULL DEFAULT 'active',
  visibility asset_visibility_enum NOT NULL DEFAULT 'timeline'
);
CREATE INDEX ON asset ("ownerId");
CREATE INDEX ON asset ("fileCreatedAt");
CREATE TABLE asset_exif (
  "assetId" uuid PRIMARY KEY REFERENCES asset ON DELETE CASCADE,
  make varchar, model varchar, "lensModel" varchar, city varchar, state varchar, country varchar,
  description text NOT NULL DEFAULT '', rating integer, "fileSizeInByte" bigint
);
CREATE TABLE person (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name varchar NOT NULL DEFAULT '');
CREATE TABLE asset_face (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  "assetId" uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
  "personId" uuid REFERENCES person ON DELETE SET NULL,
  "deletedAt" timestamptz,
  "isVisible" boolean NOT NULL DEFAULT true
);
CREATE INDEX ON asset_face ("assetId", "personId");
CREATE TABLE album (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "albumName" varchar NOT NULL DEFAULT '');
CREATE TABLE album_asset (
  "albumId" uuid NOT NULL REFERENCES album ON DELETE CASCADE,
  "assetId" uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
  PRIMARY KEY ("albumId", "assetId")
);
CREATE INDEX ON album_asset ("assetId");
CREATE TABLE tag (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), value varchar NOT NULL DEFAULT '', "parentId" uuid);
CREATE TABLE tag_asset (
  "tagId" uuid NOT NULL REFERENCES tag ON DELETE CASCADE,
  "assetId" uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
  PRIMARY KEY ("tagId", "assetId")
);
CREATE INDEX ON tag_asset ("assetId");
CREATE TABLE tag_closure (
  id_ancestor uuid NOT NULL REFERENCES tag ON DELETE CASCADE,
  id_descendant uuid NOT NULL REFERENCES tag ON DELETE CASCADE,
  PRIMARY KEY (id_ancestor, id_descendant)
);
CREATE TABLE asset_file (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  "assetId" uuid NOT NULL REFERENCES asset ON DELETE CASCADE,
  type varchar NOT NULL, path varchar NOT NULL, "isEdited" boolean NOT NULL DEFAULT false
);
CREATE INDEX ON asset_file ("assetId");
CREATE TABLE partner (
  "sharedById" uuid NOT NULL REFERENCES "user" ON DELETE CASCADE,
  "sharedWithId" uuid NOT NULL REFERENCES "user" ON DELETE CASCADE,
  "inTimeline" boolean NOT NULL DEFAULT false,
  PRIMARY KEY ("sharedById", "sharedWithId")
);
CREATE TABLE asset_job_status (
  "assetId" uuid PRIMARY KEY REFERENCES asset ON DELETE CASCADE,
  "ocrAt" timestamptz, "facesRecognizedAt" timestamptz, "metadataExtractedAt" timestamptz, "duplicatesDetectedAt" timestamptz
);
CREATE TABLE asset_ocr (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  "assetId" uuid NOT NULL REFERENCES asset ON DELETE CASCADE ON UPDATE CASCADE,
  x1 real NOT NULL, y1 real NOT NULL, x2 real NOT NULL, y2 real NOT NULL,
  x3 real NOT NULL, y3 real NOT NULL, x4 real NOT NULL, y4 real NOT NULL,
  "boxScore" real NOT NULL, "textScore" real NOT NULL, text text NOT NULL,
  "isVisible" boolean NOT NULL DEFAULT true
);
CREATE INDEX ON asset_ocr ("assetId");
CREATE TABLE ocr_search ("assetId" uuid PRIMARY KEY REFERENCES asset ON DELETE CASCADE ON UPDATE CASCADE, text text NOT NULL);
