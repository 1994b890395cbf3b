-- What a key's holder may ask for besides what the role allows.
ALTER TABLE keys ADD COLUMN customer_only INTEGER NOT NULL DEFAULT 0 CHECK (customer_only IN (0, 1));
-- Requests a minute; NULL for as many as the server can do.
ALTER TABLE keys ADD COLUMN per_minute INTEGER CHECK (per_minute > 0);
