package zkmini;

/** Part of an answer of the server. Its text is the JSON of it, with fields that this version does not know, too. */
abstract class Answer {
    final JsonObject json;

    Answer(JsonObject json) {
        this.json = json;
    }

    @Override
    public String toString() {
        return json.toString();
    }

    @Override
    public boolean equals(Object other) {
        return other != null && getClass() == other.getClass() && json.equals(((Answer) other).json);
    }

    @Override
    public int hashCode() {
        return json.hashCode();
    }
}
