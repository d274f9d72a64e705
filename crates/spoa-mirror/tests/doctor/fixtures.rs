//! Every rule's fixtures: the bad ones are found, the good ones are not, and HAProxy agrees.
