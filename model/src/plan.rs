//! What a scheduler tick sees and what it decides.
