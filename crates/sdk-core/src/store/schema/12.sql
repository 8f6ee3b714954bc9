-- An index of the sealed contents of each lane.

CREATE INDEX outgoing_sealed ON outgoing (lane, id) WHERE state = 2;
