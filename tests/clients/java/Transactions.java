import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;

/** Transactions of the Java producer, and what the admin client shows of them. */
record Transactions(Cluster cluster) {
  void all(Scenarios scenarios) {
    scenarios.run("transactions: committed and aborted", this::visibility);
    scenarios.run("transactions: the last stable offset", this::stable);
    scenarios.run("transactions: offsets of a group", this::offsets);
    scenarios.run("transactions: a fenced producer", this::fenced);
    scenarios.run("transactions: described, listed, aborted by hand", this::administered);
    scenarios.run("transactions: producers fenced by the admin client", this::fencedByHand);
    scenarios.run("transactions: one that times out", this::timedOut);
  }

  private void visibility() throws Exception {
    var first = cluster.topic("tx-a", 3);
    var second = cluster.topic("tx-b", 3);
    try (var producer = cluster.transactional(cluster.name("tx"), Map.of("compression.type", "lz4"))) {
      for (int round = 0; round < 10; round++) {
        producer.beginTransaction();
        for (int i = 0; i < 30; i++) {
          var value = (round % 2 == 0 ? "committed" : "aborted") + round + "-" + i;
          producer.send(new ProducerRecord<>(i % 2 == 0 ? first : second, i % 3, null, value));
        }
        if (round % 2 == 0) {
          producer.commitTransaction();
        } else {
          producer.flush();
          producer.abortTransaction();
        }
      }
    }
    for (var topic : List.of(first, second)) {
      var committed = cluster.committed(topic);
      Scenarios.equal(75, committed.size(), "committed records of " + topic);
      Scenarios.check(committed.stream().allMatch(value -> value.startsWith("committed")), "aborted records are seen: " + committed);
      Scenarios.equal(150, cluster.values(topic, "read_uncommitted").size(), "records of " + topic);
    }
  }

  private void stable() throws Exception {
    var topic = cluster.topic("stable", 1);
    var partition = new TopicPartition(topic, 0);
    cluster.fill(topic, 5);
    try (var producer = cluster.transactional(cluster.name("tx"), Map.of());
        var admin = cluster.admin()) {
      producer.beginTransaction();
      producer.send(new ProducerRecord<>(topic, "open")).get();
      cluster.fill(topic, 2);
      Scenarios.equal(5, cluster.values(topic, "read_committed").size(), "records before the open transaction");
      Scenarios.equal(8, cluster.values(topic, "read_uncommitted").size(), "records");
      for (var level : IsolationLevel.values()) {
        var latest = admin.listOffsets(Map.of(partition, OffsetSpec.latest()), new ListOffsetsOptions(level));
        var wanted = level == IsolationLevel.READ_COMMITTED ? 5L : 8L;
        Scenarios.equal(wanted, latest.partitionResult(partition).get().offset(), "the latest offset with " + level);
      }
      producer.commitTransaction();
      Scenarios.equal(8, cluster.committed(topic).size(), "records after the commit");
    }
  }

  private void offsets() throws Exception {
    var topic = cluster.topic("tx-offsets", 1);
    var group = cluster.name("tx-group");
    var partition = new TopicPartition(topic, 0);
    try (var producer = cluster.transactional(cluster.name("tx"), Map.of());
        var consumer = cluster.consumer(Map.of("group.id", group))) {
      consumer.assign(List.of(partition));
      for (var end : List.of("abort", "commit")) {
        producer.beginTransaction();
        producer.send(new ProducerRecord<>(topic, end));
        producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(7, end)), consumer.groupMetadata());
        if (end.equals("abort")) producer.abortTransaction();
        else producer.commitTransaction();
        var committed = consumer.committed(Set.of(partition)).get(partition);
        Scenarios.equal(end.equals("abort") ? null : new OffsetAndMetadata(7, end), committed, "committed after the " + end);
      }
    }
  }

  private void fenced() throws Exception {
    var topic = cluster.topic("fenced", 1);
    var id = cluster.name("tx");
    try (var zombie = cluster.transactional(id, Map.of())) {
      zombie.beginTransaction();
      zombie.send(new ProducerRecord<>(topic, "zombie")).get();
      try (var heir = cluster.transactional(id, Map.of())) {
        Scenarios.refused(KafkaException.class, zombie::commitTransaction);
        heir.beginTransaction();
        heir.send(new ProducerRecord<>(topic, "heir"));
        heir.commitTransaction();
      }
    }
    Scenarios.equal(List.of("heir"), cluster.committed(topic), "committed");
  }

  private void administered() throws Exception {
    var topic = cluster.topic("hanging", 1);
    var partition = new TopicPartition(topic, 0);
    var id = cluster.name("tx");
    try (var producer = cluster.transactional(id, Map.of("transaction.timeout.ms", 50_000));
        var admin = cluster.admin()) {
      producer.beginTransaction();
      producer.send(new ProducerRecord<>(topic, "hangs")).get();
      var described = admin.describeTransactions(List.of(id)).description(id).get();
      Scenarios.equal(TransactionState.ONGOING, described.state(), "state");
      Scenarios.equal(Set.of(partition), described.topicPartitions(), "partitions");
      Scenarios.equal(50_000L, described.transactionTimeoutMs(), "time-out");
      var ongoing = new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING));
      var listed = admin.listTransactions(ongoing).all().get().stream().map(TransactionListing::transactionalId).toList();
      Scenarios.check(listed.contains(id), "it is not listed: " + listed);
      var named = new ListTransactionsOptions().filterOnTransactionalIdPattern(id + ".*");
      Scenarios.equal(1, admin.listTransactions(named).all().get().size(), "transactions by pattern");
      var producers = admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers();
      Scenarios.equal(1, producers.size(), "producers");
      var active = producers.get(0);
      Scenarios.equal(0L, active.currentTransactionStartOffset().getAsLong(), "start of the transaction");
      var spec = new AbortTransactionSpec(
          partition, active.producerId(), (short) active.producerEpoch(), active.coordinatorEpoch().orElse(0));
      admin.abortTransaction(spec).all().get();
      Scenarios.check(
          admin.describeProducers(List.of(partition)).partitionResult(partition).get().activeProducers().get(0)
              .currentTransactionStartOffset().isEmpty(), "the transaction is still open");
    }
    Scenarios.equal(List.of(), cluster.committed(topic), "committed");
  }

  private void fencedByHand() throws Exception {
    var topic = cluster.topic("fenced-by-hand", 1);
    var id = cluster.name("tx");
    try (var producer = cluster.transactional(id, Map.of());
        var admin = cluster.admin()) {
      producer.beginTransaction();
      producer.send(new ProducerRecord<>(topic, "lost")).get();
      admin.fenceProducers(List.of(id)).all().get();
      Scenarios.refused(ProducerFencedException.class, producer::commitTransaction);
    }
    Scenarios.equal(List.of(), cluster.committed(topic), "committed");
  }

  private void timedOut() throws Exception {
    var topic = cluster.topic("timed-out", 1);
    var id = cluster.name("tx");
    try (var producer = cluster.transactional(id, Map.of("transaction.timeout.ms", 500));
        var admin = cluster.admin()) {
      producer.beginTransaction();
      producer.send(new ProducerRecord<>(topic, "late")).get();
      Scenarios.await("the broker aborts it", () -> state(admin, id) == TransactionState.COMPLETE_ABORT);
      Scenarios.refused(KafkaException.class, producer::commitTransaction);
    }
    Scenarios.equal(List.of(), cluster.committed(topic), "committed");
  }

  private static TransactionState state(Admin admin, String id) {
    try {
      return admin.describeTransactions(List.of(id)).description(id).get().state();
    } catch (Exception failure) {
      throw new AssertionError(failure);
    }
  }
}
