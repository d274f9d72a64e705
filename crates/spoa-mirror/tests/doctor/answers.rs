//! What the doctor says of pairs of requests and answers, shown with real HAProxy.
