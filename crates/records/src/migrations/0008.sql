-- A program that keeps a conversation itself tells all of it each time; it is found again by the answer that it ends
-- with. Refusals and answers begin alike and are told apart when they are read.
CREATE INDEX messages_by_beginning ON messages (substr(text, 1, 40)) WHERE role = 'assistant';
