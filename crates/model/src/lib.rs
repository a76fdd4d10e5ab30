//! Pure meeting model: ids, conference, layouts, scenes, speaker choice, commands, events.
