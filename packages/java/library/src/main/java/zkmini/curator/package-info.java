/**
 * Server for tests with the names of Apache Curator's {@code curator-test}: to move, change the import of
 * {@code org.apache.curator.test.TestingServer} to {@link zkmini.curator.TestingServer}. The server is a process of its own.
 */
package zkmini.curator;
