"""Operations of several steps, as generators that yield what they need done (see `steps`)."""
