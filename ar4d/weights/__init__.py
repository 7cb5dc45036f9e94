"""Where the weights of pre-trained networks come from: finding, fetching, checking, licences, loading."""
