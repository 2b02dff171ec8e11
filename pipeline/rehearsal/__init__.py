"""The drill: eight agencies, their daily noise and six attack stories, played over real sockets."""
