"""From words to an answer: intent, slots, workflow, wording."""
